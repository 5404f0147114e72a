/* export.h - TRIBUTARY_API marks a function that the library exports. Part of
 * <tributary/tributary.h>. */
#ifndef TRIBUTARY_EXPORT_H
#define TRIBUTARY_EXPORT_H

/* The library is compiled with -fvisibility=hidden: a function without this mark stays inside. */
#define TRIBUTARY_API __attribute__((visibility("default")))

#endif
