/* disk.h -- whether the log's disk has room, said before something fails for want of it. */
#ifndef DR_COORD_SHELL_DISK_H
#define DR_COORD_SHELL_DISK_H

#include <stdint.h>

/* Look now and then (every call but the first within some seconds of the last look does nothing), and log each
 * change once: disk.full with the folder and what to do, disk.room.  Loop thread; asks the kernel only for what it
 * knows of the file system, and reads nothing from the disk. */
void dr_disk_beat(const char *folder, uint64_t now_ms);
/* What was free at the last look, in bytes. */
uint64_t dr_disk_free(void);

#endif
