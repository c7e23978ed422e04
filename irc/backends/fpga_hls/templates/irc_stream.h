// Streams between stages: hls::stream with vendor types, otherwise a FIFO of the same interface.
//
// A stream has one producer and one consumer. For one sample every stage reads all elements of its inputs and writes
// all elements of its outputs, so every stream is empty between two samples.

#ifndef IRC_STREAM_H
#define IRC_STREAM_H

#include "irc_types.h"

#ifdef IRC_PLAIN
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <utility>
#include <vector>
#else
#include <hls_stream.h>
#endif

namespace irc {

#ifdef IRC_PLAIN

/// Simulation model of hls::stream: never full; stops the program when read while empty or left with elements in it.
template <class T> class stream {
  public:
    explicit stream(const char* name = "stream") : name_(name) {
        if (!spare_slots().empty()) {
            slots_.swap(spare_slots().back());
            spare_slots().pop_back();
        }
    }
    ~stream() {
        if (!empty()) {
            fail("left with elements in it");
        }
        spare_slots().push_back(std::move(slots_));
    }
    stream(const stream&) = delete;
    stream& operator=(const stream&) = delete;

    void write(const T& value) {
        if (tail_ == slots_.size()) {
            make_room();
        }
        slots_[tail_++] = value;
        if (tail_ - head_ > max_occupancy_) {
            max_occupancy_ = tail_ - head_;
        }
    }

    T read() {
        if (empty()) {
            fail("read while empty");
        }
        return slots_[head_++];
    }

    void read(T& value) { value = read(); }
    bool empty() const { return head_ == tail_; }
    std::size_t size() const { return tail_ - head_; }
    const char* name() const { return name_; }

    /// The most elements ever held at once. Stages simulate one after the other, so this is the length of the longest
    /// run written ahead, not the depth that concurrent hardware needs.
    std::size_t max_occupancy() const { return max_occupancy_; }

  private:
    /// Memory of former streams of this type, for the next ones: stages make their streams anew for every sample.
    static std::vector<std::vector<T>>& spare_slots() {
        static std::vector<std::vector<T>> spare;
        return spare;
    }

    [[noreturn]] void fail(const char* what) const {
        std::fprintf(stderr, "irc::stream %s: %s\n", name_, what);
        std::abort();
    }

    void make_room() {
        const std::size_t held = tail_ - head_;
        if (held <= slots_.size() / 2 && !slots_.empty()) {
            for (std::size_t i = 0; i < held; i++) {
                slots_[i] = slots_[head_ + i];
            }
            head_ = 0;
            tail_ = held;
        } else {
            slots_.resize(slots_.empty() ? 64 : 2 * slots_.size());
        }
    }

    const char* name_;
    std::vector<T> slots_;
    std::size_t head_ = 0;
    std::size_t tail_ = 0;
    std::size_t max_occupancy_ = 0;
};

#else

template <class T> using stream = hls::stream<T>;

#endif

} // namespace irc

#endif
