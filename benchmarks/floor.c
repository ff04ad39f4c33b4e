/* The least that a durable receiver has to do: what benchmarks/ingest.py measures others against, as "floor in C".

   Takes the PDUs of a well-behaved sender, writes each data set past the page cache, names it, syncs file and folder,
   answers Success. No hash, no check, no ledger, no limit, no way to say anything else: not for any other use.

   floor PORT FOLDER */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROOM = 16 << 20, BLOCK = 4096 };
enum { ASSOCIATE_RQ = 1, ASSOCIATE_AC = 2, P_DATA = 4, RELEASE_RQ = 5, RELEASE_RP = 6 };
enum { COMMAND = 1, LAST = 2 };

static uint8_t pdu[ROOM], answer[65536], *data_set;
static size_t gathered;
static int folder, count;
static struct { uint8_t value[64]; uint32_t length; } sop_class, sop_instance, message_id;

static void need(int is_true, const char *what) {
    if (!is_true) { perror(what); _exit(1); }
}

static uint32_t big(const uint8_t *at, int bytes) {
    uint32_t value = 0;
    while (bytes--) value = value << 8 | *at++;
    return value;
}

static void put_big(uint8_t *at, uint32_t value, int bytes) {
    while (bytes--) { at[bytes] = value; value >>= 8; }
}

static int receive(int peer, uint8_t *to, size_t bytes) {
    static const int on = 1;
    for (ssize_t got; bytes; to += got, bytes -= got)
        if ((got = recv(peer, to, bytes, MSG_WAITALL)) <= 0) return 0;
    setsockopt(peer, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
    return 1;
}

static void say(int peer, uint8_t kind, const uint8_t *end) {
    answer[0] = kind;
    answer[1] = 0;
    put_big(answer + 2, end - answer - 6, 4);
    need(send(peer, answer, end - answer, 0) == end - answer, "send");
}

/* Every presentation context is accepted with the first transfer syntax that is proposed for it (PS3.8 9.3.3), and PDUs
   of up to 131,072 bytes. */
static void accept_all(int peer, uint32_t length) {
    static const uint8_t user[] = {0x50, 0, 0, 18, 0x51, 0, 0, 4, 0, 2, 0, 0, 0x52, 0, 0, 6, '1', '.', '2', '.', '3', '4'};
    uint8_t *to = answer + 74;
    memcpy(answer + 6, pdu, 68);
    for (uint8_t *item = pdu + 68; item < pdu + length; item += 4 + big(item + 2, 2)) {
        if (item[0] == 0x10) {
            memcpy(to, item, 4 + big(item + 2, 2));
            to += 4 + big(item + 2, 2);
        } else if (item[0] == 0x20) {
            uint8_t *syntax = item + 8;
            while (syntax[0] != 0x40) syntax += 4 + big(syntax + 2, 2);
            uint32_t bytes = 4 + big(syntax + 2, 2);
            memcpy(to, (uint8_t[8]){0x21, 0, 0, 0, item[4]}, 8);
            put_big(to + 2, 4 + bytes, 2);
            memcpy(to + 8, syntax, bytes);
            to += 8 + bytes;
        }
    }
    memcpy(to, user, sizeof user);
    say(peer, ASSOCIATE_AC, to + sizeof user);
}

/* Elements of a command set are little endian without VR (PS3.7 6.3.1). */
static void read_command(const uint8_t *at, const uint8_t *end) {
    for (uint32_t length; at < end; at += 8 + length) {
        length = at[4] | at[5] << 8;
        void *wanted = at[2] == 0x02 && !at[3] ? &sop_class : at[2] == 0x10 && at[3] == 1 ? &message_id
            : !at[2] && at[3] == 0x10 ? &sop_instance : NULL;
        if (!wanted || length > 64) continue;
        memcpy(wanted, at + 8, length);
        memcpy((uint8_t *)wanted + 64, &length, 4);
    }
}

static uint8_t *element(uint8_t *to, uint16_t number, const void *value, uint32_t length) {
    memcpy(to, (uint8_t[8]){0, 0, number & 255, number >> 8, length & 255, length >> 8}, 8);
    memcpy(to + 8, value, length);
    return to + 8 + length;
}

static void say_success(int peer, uint8_t context) {
    uint8_t *set = answer + 12, *to = set + 12;
    to = element(to, 0x0002, sop_class.value, sop_class.length);
    to = element(to, 0x0100, "\x01\x80", 2);
    to = element(to, 0x0120, message_id.value, 2);
    to = element(to, 0x0800, "\x01\x01", 2);
    to = element(to, 0x0900, "\0\0", 2);
    to = element(to, 0x1000, sop_instance.value, sop_instance.length);
    uint32_t length = to - set - 12;
    element(set, 0x0000, &length, 4);
    put_big(answer + 6, to - answer - 10, 4);
    answer[10] = context;
    answer[11] = COMMAND | LAST;
    say(peer, P_DATA, to);
}

/* In whole blocks: the file is some bytes too long. */
static void keep(void) {
    char part[32], name[32];
    snprintf(part, sizeof part, "%d.part", getpid());
    snprintf(name, sizeof name, "%d-%d", getpid(), count++);
    int file = openat(folder, part, O_CREAT | O_WRONLY | O_DIRECT, 0640);
    ssize_t whole = (gathered + BLOCK - 1) / BLOCK * BLOCK;
    need(file >= 0 && pwrite(file, data_set, whole, 0) == whole, "write");
    need(!renameat(folder, part, folder, name) && !fdatasync(file) && !fsync(folder), "sync");
    close(file);
    gathered = 0;
}

static void take_items(int peer, uint32_t length) {
    for (uint8_t *item = pdu; item < pdu + length; item += 4 + big(item, 4)) {
        uint8_t *fragment = item + 6, *end = item + 4 + big(item, 4);
        if (item[5] & COMMAND) {
            read_command(fragment, end);
            continue;
        }
        need(gathered + (end - fragment) <= ROOM, "a data set of more than 16 MB");
        memcpy(data_set + gathered, fragment, end - fragment);
        gathered += end - fragment;
        if (item[5] & LAST) {
            keep();
            say_success(peer, item[4]);
        }
    }
}

static void serve(int peer) {
    static const int on = 1;
    uint8_t head[6];
    setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    need(!posix_memalign((void **)&data_set, BLOCK, ROOM), "memory");
    while (receive(peer, head, 6)) {
        uint32_t length = big(head + 2, 4);
        need(length <= ROOM && receive(peer, pdu, length), "a PDU");
        if (head[0] == ASSOCIATE_RQ) accept_all(peer, length);
        else if (head[0] == P_DATA) take_items(peer, length);
        else if (head[0] == RELEASE_RQ) { memset(answer + 6, 0, 4); say(peer, RELEASE_RP, answer + 10); }
        else break;
    }
    _exit(0);
}

static void reap(int signal_) {
    (void)signal_;
    while (waitpid(-1, NULL, WNOHANG) > 0) continue;
}

int main(int words, char **word) {
    static const int on = 1;
    need(words == 3, "floor PORT FOLDER");
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(atoi(word[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int port = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(port, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    need((folder = open(word[2], O_RDONLY | O_DIRECTORY)) >= 0, word[2]);
    need(!bind(port, (void *)&here, sizeof here) && !listen(port, 256), "listen");
    signal(SIGCHLD, reap);
    for (int peer;;) {
        if ((peer = accept(port, NULL, NULL)) < 0) continue;
        if (!fork()) serve(peer);
        close(peer);
    }
}
