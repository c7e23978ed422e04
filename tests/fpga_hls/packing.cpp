// Products that share a multiplication, by themselves: all operands of 4 bits, corners and random ones of wider ones.

#include <cstdio>
#include <random>

#include "packed.h"

/// Whether a packing makes the products of x and w.
template <class Products> bool makes(int x, const int (&w)[Products::lanes]) {
    typename Products::Weight weights[Products::lanes];
    for (int i = 0; i < Products::lanes; i++) {
        weights[i] = typename Products::Weight(w[i]);
    }
    typename Products::Product products[Products::lanes];
    Products::multiply(irc::Factor<Products::x_bits>(x), weights, products);
    for (int i = 0; i < Products::lanes; i++) {
        if (int64_t(products[i]) != int64_t(x) * w[i]) {
            return false;
        }
    }
    return true;
}

/// The next of all operands from `lowest` to `highest`; false behind the last.
template <int N> bool advance(int (&w)[N], int lowest, int highest) {
    for (int& value : w) {
        if (value < highest) {
            value++;
            return true;
        }
        value = lowest;
    }
    return false;
}

struct Range {
    int lowest;
    int highest;
};

template <class Products> void tell(const char* name, long tried, long wrong) {
    std::printf("%s %d %d %ld %ld\n", name, Products::step, Products::factor_bits, tried, wrong);
}

template <class Products> void try_all(const char* name, Range x, Range w) {
    long tried = 0;
    long wrong = 0;
    for (int value = x.lowest; value <= x.highest; value++) {
        int weights[Products::lanes];
        for (int& weight : weights) {
            weight = w.lowest;
        }
        do {
            tried++;
            wrong += makes<Products>(value, weights) ? 0 : 1;
        } while (advance(weights, w.lowest, w.highest));
    }
    tell<Products>(name, tried, wrong);
}

/// An end of a range, a number next to 0, or any.
int draw(std::mt19937& random, Range range) {
    const int any = range.lowest + int(random() % unsigned(range.highest - range.lowest + 1));
    const int near = int(random() % 3) - 1;
    const int choices[] = {range.lowest, range.highest, near < range.lowest ? 0 : near, any, any};
    return choices[random() % 5];
}

template <class Products> void try_some(const char* name, Range x, Range w) {
    std::mt19937 random(1);
    const long tried = 20000;
    long wrong = 0;
    for (long i = 0; i < tried; i++) {
        int weights[Products::lanes];
        for (int& weight : weights) {
            weight = draw(random, w);
        }
        wrong += makes<Products>(draw(random, x), weights) ? 0 : 1;
    }
    tell<Products>(name, tried, wrong);
}

int main() {
    using irc::PackedProducts;
    try_all<PackedProducts<8, 8, 4>>("8 8 4", {-8, 7}, {-8, 7});
    try_all<PackedProducts<15, 8, 4>>("15 8 4", {0, 15}, {-8, 7});
    try_all<PackedProducts<15, 8, 3>>("15 8 3", {-15, 15}, {-8, 7});
    try_all<PackedProducts<1, 1, 5>>("1 1 5", {-1, 1}, {-1, 1});
    try_some<PackedProducts<255, 8, 3>>("255 8 3", {0, 255}, {-8, 7});
    try_some<PackedProducts<128, 128, 2>>("128 128 2", {-128, 127}, {-128, 127});
    try_some<PackedProducts<255, 128, 2>>("255 128 2", {-255, 255}, {-128, 127});
    try_some<PackedProducts<255, 255, 2>>("255 255 2", {-255, 255}, {-255, 255});
    try_some<PackedProducts<2047, 127, 2>>("2047 127 2", {-2047, 2047}, {-127, 127});
    return 0;
}
