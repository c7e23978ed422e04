// Takes the place of irc_stream.h in a simulation whose processes run side by side: FIFOs hold as much as their pragmas
// say, a process that finds one empty or full waits, and others go on. One thread, so every run is the same.
//
// $IRC_OCCUPANCY names a file that gets a line a FIFO: name, depth, the most it held.

#ifndef IRC_STREAM_H
#define IRC_STREAM_H

#include "irc_types.h"

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <memory>
#include <ucontext.h>
#include <utility>
#include <vector>

namespace irc {

const int STACK = 128 * 1024;
const int DEADLOCK = 3; // exit code

struct Fiber {
    ucontext_t context;
    std::function<void()> body;
    std::unique_ptr<char[]> stack;
    std::vector<Fiber*> followers; // that wait for its end
    const char* waits_for = "";
    bool done = false;
};

class Scheduler {
  public:
    static Scheduler& get() {
        static Scheduler one;
        return one;
    }

    void start(Fiber& fiber) {
        if (stacks_.empty()) {
            stacks_.emplace_back(new char[STACK]);
        }
        fiber.stack = std::move(stacks_.back());
        stacks_.pop_back();
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack.get();
        fiber.context.uc_stack.ss_size = STACK;
        fiber.context.uc_link = nullptr;
        makecontext(&fiber.context, &Scheduler::run, 0);
        ready_.push_back(&fiber);
    }

    void wake(Fiber* fiber) { ready_.push_back(fiber); }
    Fiber* current() const { return current_; }
    void recycle(Fiber& fiber) { stacks_.push_back(std::move(fiber.stack)); }

    /// Lets others run until somebody wakes this one.
    void wait(const char* what) {
        Fiber* self = current_;
        self->waits_for = what;
        waiting_.push_back(self);
        Fiber* next = take();
        if (next != self) {
            current_ = next;
            swapcontext(&self->context, &next->context);
        }
        for (std::size_t i = 0; i < waiting_.size(); i++) {
            if (waiting_[i] == self) {
                waiting_[i] = waiting_.back();
                waiting_.pop_back();
                break;
            }
        }
    }

  private:
    static void run() {
        Scheduler& all = get();
        Fiber* self = all.current_;
        self->body();
        self->done = true;
        for (Fiber* follower : self->followers) {
            all.wake(follower);
        }
        all.current_ = all.take();
        setcontext(&all.current_->context);
    }

    Fiber* take() {
        if (ready_.empty()) {
            std::fprintf(stderr, "deadlock:");
            for (Fiber* fiber : waiting_) {
                std::fprintf(stderr, " %s", fiber->waits_for);
            }
            std::fprintf(stderr, "\n");
            std::_Exit(DEADLOCK);
        }
        Fiber* next = ready_.front();
        ready_.pop_front();
        return next;
    }

    Fiber root_;
    Fiber* current_ = &root_;
    std::deque<Fiber*> ready_;
    std::vector<Fiber*> waiting_;
    std::vector<std::unique_ptr<char[]>> stacks_;
};

/// The processes of a DATAFLOW region.
class Region {
  public:
    /// Starts a process, at once or behind the process `after` of the region.
    void run(int after, std::function<void()> body) {
        fibers_.emplace_back(new Fiber);
        fibers_.back()->body = after < 0 ? std::move(body) : [this, after, body] {
            follow(*fibers_[after]);
            body();
        };
        Scheduler::get().start(*fibers_.back());
    }

    /// Waits for the end of all.
    void join() {
        for (auto& fiber : fibers_) {
            follow(*fiber);
            Scheduler::get().recycle(*fiber);
        }
    }

  private:
    static void follow(Fiber& fiber) {
        if (!fiber.done) {
            fiber.followers.push_back(Scheduler::get().current());
            Scheduler::get().wait("(a process)");
        }
    }

    std::vector<std::unique_ptr<Fiber>> fibers_;
};

template <class T> class stream {
  public:
    explicit stream(const char* name = "stream") : name_(name) {}
    ~stream() {
        static std::FILE* const record = std::getenv("IRC_OCCUPANCY") ? std::fopen(std::getenv("IRC_OCCUPANCY"), "a") : nullptr;
        if (record != nullptr) {
            std::fprintf(record, "%s %zu %zu\n", name_, depth_, most_);
            std::fflush(record);
        }
        if (!held_.empty()) {
            std::fprintf(stderr, "stream %s: left with elements in it\n", name_);
            std::_Exit(1);
        }
    }
    stream(const stream&) = delete;
    stream& operator=(const stream&) = delete;

    /// What `#pragma HLS STREAM depth=...` says.
    void bound(std::size_t depth) { depth_ = depth; }

    void write(const T& value) {
        while (held_.size() >= depth_) {
            writer_ = Scheduler::get().current();
            Scheduler::get().wait(name_);
        }
        held_.push_back(value);
        most_ = held_.size() > most_ ? held_.size() : most_;
        wake(reader_);
    }

    T read() {
        while (held_.empty()) {
            reader_ = Scheduler::get().current();
            Scheduler::get().wait(name_);
        }
        const T value = held_.front();
        held_.pop_front();
        wake(writer_);
        return value;
    }

  private:
    static void wake(Fiber*& fiber) {
        if (fiber != nullptr) {
            Scheduler::get().wake(fiber);
            fiber = nullptr;
        }
    }

    const char* name_;
    std::deque<T> held_;
    std::size_t depth_ = 2; // of a stream without pragma
    std::size_t most_ = 0;
    Fiber* reader_ = nullptr;
    Fiber* writer_ = nullptr;
};

} // namespace irc

#endif
