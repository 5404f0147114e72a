/* resume_point.h - where an earlier stream stood in one source, as a resume token says. */
#ifndef TRIBUTARY_ROUTE_RESUME_POINT_H
#define TRIBUTARY_ROUTE_RESUME_POINT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"

struct resume_point {
    struct bytes source;
    uint64_t epoch, sequence;
    bool overrides; /* it counts more than every point that does not */
};

#endif
