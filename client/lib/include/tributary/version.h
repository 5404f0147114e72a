/* version.h - the version of these headers. Part of <tributary/tributary.h>.
 *
 * tributary_version() says the version of the library that the program runs with. Before 1.0 a new
 * minor version may change the interface; after that only a new major version does. */
#ifndef TRIBUTARY_VERSION_H
#define TRIBUTARY_VERSION_H

#define TRIBUTARY_VERSION_MAJOR 0
#define TRIBUTARY_VERSION_MINOR 1
#define TRIBUTARY_VERSION_PATCH 0
#define TRIBUTARY_VERSION "0.1.0"

#endif
