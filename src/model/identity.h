/* identity.h - which file something came from, and which state of it. Internal to src/model. */
#ifndef PONDER_IDENTITY_H
#define PONDER_IDENTITY_H

#include "base/base.h"

#include <sys/stat.h>

/* Changes whenever the file is written or replaced. */
struct file_identity {
    uint64_t device, inode, size, mtime_ns;
};
void file_identity_of(struct file_identity *id, const struct stat *st);
/* Appends "device inode size mtime_ns". */
void file_identity_add(const struct file_identity *id, struct str *out);

#endif
