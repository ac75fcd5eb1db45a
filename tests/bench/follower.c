/* The least work that follows a unit's messages: wait, process, next, get_data, nothing else. The yardstick of the live tail. */
#include <stdio.h>
#include <string.h>
#include <systemd/sd-journal.h>

int main(int argc, char **argv) {
    sd_journal *journal;
    const void *data;
    size_t length;
    if (argc < 2 || sd_journal_open(&journal, SD_JOURNAL_LOCAL_ONLY) < 0) {
        fprintf(stderr, "usage: follower UNIT...\n");
        return 1;
    }
    for (int i = 1; i < argc; i++) {
        char match[256];
        int size = snprintf(match, sizeof match, "_SYSTEMD_UNIT=%s", argv[i]);
        if (size >= (int)sizeof match || sd_journal_add_match(journal, match, size) < 0)
            return 1;
    }
    if (sd_journal_seek_tail(journal) < 0 || sd_journal_previous(journal) < 0)
        return 1;
    for (;;) {
        while (sd_journal_next(journal) > 0)
            if (sd_journal_get_data(journal, "MESSAGE", &data, &length) < 0)
                continue;
        if (sd_journal_wait(journal, (uint64_t)-1) < 0)
            return 1;
    }
}
