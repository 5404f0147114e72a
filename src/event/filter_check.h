/* filter_check.h - what selectors must keep to: for filter_compile.c. */
#ifndef TRIBUTARY_EVENT_FILTER_CHECK_H
#define TRIBUTARY_EVENT_FILTER_CHECK_H

#include "event/filter.h"

/* Checks selectors and excludes as filter_new() says. */
MUST_CHECK enum fault_reason filter_check(const struct selector *selectors, size_t selector_count,
                                          const struct selector *excludes, size_t exclude_count,
                                          struct fault *fault);

#endif
