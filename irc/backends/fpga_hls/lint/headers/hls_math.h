// Stands for the vendor's header.

#ifndef IRC_LINT_HLS_MATH_H
#define IRC_LINT_HLS_MATH_H

namespace hls {

float rint(float x);

} // namespace hls

#endif
