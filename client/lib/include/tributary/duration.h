/* duration.h - durations without a number. Part of <tributary/tributary.h>. */
#ifndef TRIBUTARY_DURATION_H
#define TRIBUTARY_DURATION_H

#include <stdint.h>

#define TRIBUTARY_NONE INT64_C(-1)
#define TRIBUTARY_FOREVER INT64_MAX

#endif
