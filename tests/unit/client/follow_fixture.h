/* follow_fixture.h - files in a folder of their own, and what a reader of them has seen. */
#ifndef TESTS_FOLLOW_FIXTURE_H
#define TESTS_FOLLOW_FIXTURE_H

#include "client/tool/follow_set.h"

extern char folder[64];
extern char path[128];          /* FOLDER/log */
extern char old_path[128];      /* FOLDER/log.1 */
extern char seen[4096];         /* "line,line," */
extern char notices[8192];      /* "PATH: text\n" */
extern bool with_sources;       /* lines are seen as "NAME:line," */
extern struct follow_port port; /* writes them there */

void follow_fixture_set_up(void);
/* Removes the folder with the files in it. */
void follow_fixture_tear_down(void);

/* The path of a file in the folder. The text is valid until the next call but three. */
const char *file_in_folder(const char *name);

/* Writes a text with the flags of open(), such as O_APPEND or O_TRUNC. */
void put(const char *file, const char *text, int flags);

/* Expects what was seen since the last call, and whether the notices hold a text; NULL: there are
 * none. */
void expect_seen(const char *lines, const char *notice);

#endif
