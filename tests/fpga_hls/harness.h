// Feeds the streams of one case from a tape of integers, and writes what comes out to another.

#ifndef IRC_TEST_HARNESS_H
#define IRC_TEST_HARNESS_H

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "irc_stream.h"

class Tape {
  public:
    explicit Tape(const char* path) : input_(std::fopen(path, "rb")) {}
    ~Tape() { std::fclose(input_); }
    Tape(const Tape&) = delete;
    Tape& operator=(const Tape&) = delete;

    int64_t next() {
        int64_t value = 0;
        if (std::fread(&value, sizeof value, 1, input_) != 1) {
            std::fprintf(stderr, "the tape has ended\n");
            std::exit(1);
        }
        return value;
    }

    void put(int64_t value) { output_.push_back(value); }

    void save(const char* path) const {
        std::FILE* file = std::fopen(path, "wb");
        std::fwrite(output_.data(), sizeof(int64_t), output_.size(), file);
        std::fclose(file);
    }

  private:
    std::FILE* input_;
    std::vector<int64_t> output_;
};

template <class T> void feed(irc::stream<T>& x, Tape& tape, int count) {
    for (int i = 0; i < count; i++) {
        x.write(T(tape.next()));
    }
}

/// Writes the number of elements of a stream, and the elements.
template <class T> void collect(irc::stream<T>& y, Tape& tape) {
    tape.put(int64_t(y.size()));
    while (!y.empty()) {
        tape.put(int64_t(y.read()));
    }
}

#endif
