/* libc_calls.h - the functions of libc that front.c hides: found behind our own with dlsym(). So
 * the interceptors of a sanitizer still see each call.
 *
 * Threads: any. */
#ifndef TRIBUTARY_H2SOCKET_LIBC_CALLS_H
#define TRIBUTARY_H2SOCKET_LIBC_CALLS_H

#include <sys/epoll.h>
#include <sys/socket.h>

/* As the functions of these names. */
ssize_t libc_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t libc_sendmsg(int fd, const struct msghdr *message, int flags);
int libc_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event);
int libc_epoll_wait(int epoll, struct epoll_event *events, int max, int timeout_ms);
int libc_close(int fd);
int libc_shutdown(int fd, int how);

#endif
