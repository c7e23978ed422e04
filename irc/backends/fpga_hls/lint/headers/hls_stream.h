// Stands for the vendor's header: streams without bodies, so that nobody can see through them.

#ifndef IRC_LINT_HLS_STREAM_H
#define IRC_LINT_HLS_STREAM_H

namespace hls {

template <class T> class stream {
  public:
    stream();
    explicit stream(const char* name);
    stream(const stream&) = delete;
    stream& operator=(const stream&) = delete;

    T read();
    void read(T& value);
    bool read_nb(T& value);
    void write(const T& value);
    bool write_nb(const T& value);
    bool empty() const;
    bool full() const;
};

} // namespace hls

#endif
