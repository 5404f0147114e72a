/* answer.h - the messages of server reflection: what a request asks for, and what answers it. Those
 * of v1 and of v1alpha are the same.
 *
 * Threads: any. */
#ifndef TRIBUTARY_REFLECT_ANSWER_H
#define TRIBUTARY_REFLECT_ANSWER_H

#include "base/buf.h"
#include "base/fault.h"
#include "reflect/descriptors.h"

/* The paths of the method: of v1, and of v1alpha. */
#define REFLECTION_METHODS 2u
extern const char *const reflection_methods[REFLECTION_METHODS];

enum reflection_want {
    REFLECTION_NOTHING,
    REFLECTION_SERVICES,
    REFLECTION_FILE,       /* by its name */
    REFLECTION_SYMBOL,     /* the file that declares it */
    REFLECTION_EXTENSION,  /* the file that extends a type */
    REFLECTION_EXTENSIONS, /* the numbers of all extensions of a type */
};

struct reflection_request {
    enum reflection_want want;
    struct bytes name; /* of the file, the symbol or the type; points into the message */
    struct bytes host;
};

/* FAULT_NONE, or MALFORMED. Where a message asks for several things the last one counts. */
MUST_CHECK enum fault_reason reflection_request_read(struct bytes message, struct reflection_request *out,
                                                     struct fault *fault);
/* Appends such a request. */
void reflection_request_write(enum reflection_want want, struct bytes name, struct buf *message);

/* Each answer begins with this: the request's host, and the request. */
void reflection_write_head(struct bytes host, struct bytes request, struct buf *answer);

/* One of these follows. */
void reflection_write_services(struct buf *services, struct buf *answer); /* takes over their bytes */
void reflection_write_file(const struct descriptors *descriptors, size_t file, struct buf *answer);
void reflection_write_extensions(struct bytes type, struct buf *answer); /* none */
void reflection_write_error(enum fault_code code, const char *what, struct bytes name, struct buf *answer);

/* Adds a name to the services of an answer. */
void reflection_add_service(struct bytes name, struct buf *services);

/* What is answered of one set of files. False: it does not have it. */
MUST_CHECK bool reflection_write_found(const struct descriptors *descriptors,
                                       const struct reflection_request *request, struct buf *answer);
/* The error where no set has it. */
void reflection_write_missing(const struct reflection_request *request, struct buf *answer);

#endif
