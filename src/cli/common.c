/* common.c - what the subcommands share: picking one, settings, error lines, clean output. */
#include "chat/chat.h"
#include "cli/cli.h"
#include "model/model.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

void cli_put(FILE *f, const char *text, size_t n)
{
    struct str out = STR_EMPTY;
    text_sanitize(&out, text, n, isatty(fileno(f)) ? TEXT_SCREEN : TEXT_PIPE);
    fwrite(str_cstr(&out), 1, out.len, f);
    str_release(&out);
}

void cli_puts(FILE *f, const char *text)
{
    cli_put(f, text, strlen(text));
}

bool cli_styled(FILE *f)
{
    const char *none = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(fileno(f)) && !(none && *none) && term && *term && strcmp(term, "dumb") != 0;
}

static void say_error(const char *text)
{
    struct str line = STR_EMPTY;
    text_sanitize(&line, text, strlen(text), TEXT_ONE_LINE);
    fflush(stdout);
    fprintf(stderr, "ponder: %s\n", str_ok(&line) ? str_cstr(&line) : err_name(ERR_NOMEM));
    str_release(&line);
}

int cli_fail(const struct err *e)
{
    say_error(e->text[0] ? e->text : err_name(e->code));
    return err_exit_code(e->code);
}

int cli_usage(const char *command, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    struct str line = STR_EMPTY;
    str_addf(&line, "%s: %s (see `ponder help %s`)", command, text, command);
    say_error(str_cstr(&line));
    str_release(&line);
    return 2;
}

int cli_finish(int code)
{
    if (fflush(stdout) || ferror(stdout)) {
        if (errno != EPIPE) say_error("cannot write the output");
        return code ? code : 1;
    }
    return code;
}

int cli_settings(struct settings *s, struct err *e)
{
    int rc = settings_init(s, e);
    struct str path = STR_EMPTY;
    if (!rc) rc = path_of(&path, PATH_CONFIG, "ponder.ini", e);
    if (!rc) rc = settings_load(s, str_cstr(&path), e);
    if (!rc) rc = settings_load_env(s, e);
    str_release(&path);
    if (rc) settings_release(s);
    return rc;
}

int cli_store_open(struct store **out, const struct settings *set, struct err *e)
{
    if (set->private_chat) return store_open(out, NULL, e);
    if (set->db[0]) return store_open(out, set->db, e);
    struct str path = STR_EMPTY;
    int rc = path_of(&path, PATH_DATA, "ponder.db", e);
    if (!rc) rc = store_open(out, str_cstr(&path), e);
    str_release(&path);
    return rc;
}

void cli_sandbox(const struct settings *set, const struct store *store)
{
    struct str own[5] = {0};
    const char *writable[ARRAY_LEN(own)];
    size_t n = 0;
    if (!set->sandbox) return;
    for (int kind = PATH_CONFIG; kind <= PATH_CACHE; kind++) {
        struct str *path = &own[n];
        /* A folder has to be there to be let through; a private chat makes none. */
        if (path_of(path, (enum path_kind)kind, NULL, NULL) || (!set->private_chat && path_make_folder(str_cstr(path), NULL)))
            str_clear(path);
        else
            n++;
    }
    const char *file = store ? store_path(store) : NULL, *slash = file ? strrchr(file, '/') : NULL;
    if (slash) str_add_bytes(&own[n++], file, slash == file ? 1 : (size_t)(slash - file));
    for (size_t i = 0; i < n; i++) writable[i] = str_cstr(&own[i]);
    sandbox_files(writable, n, NULL);
    sandbox_calls(true, NULL);
    for (size_t i = 0; i < ARRAY_LEN(own); i++) str_release(&own[i]);
}

bool cli_id(const char *text, char letter, int64_t *id)
{
    if (*text == letter) text++;
    if (!isdigit((unsigned char)*text)) return false;
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (*end || errno || v < 1) return false;
    *id = v;
    return true;
}

/* ---- help ------------------------------------------------------------------------------------------------------ */

static void print_settings(enum setting_scope scope)
{
    for (size_t i = 0; i < settings_count; i++) {
        const struct setting *d = &settings_table[i];
        if (!(d->scope & scope)) continue;
        char flag[64];
        snprintf(flag, sizeof flag, "--%s", d->name);
        for (char *p = flag; *p; p++)
            if (*p == '_') *p = '-';
        printf("  %s%s%-18s %s\n", d->flags, *d->flags ? " " : "", flag, d->help);
    }
}

static const struct command *find(const char *name)
{
    for (const struct command *c = cli_commands; c->name; c++)
        if (!strcmp(c->name, name)) return c;
    return NULL;
}

int cli_command_help(const char *name)
{
    const struct command *c = find(name);
    if (!c) return cli_usage("help", "there is no command \"%s\"", name);
    printf("usage: ponder %s %s\n%s\n", c->name, c->usage, c->help);
    if (c->run == cmd_ask || c->run == cmd_chat || c->run == cmd_sweep) {
        printf("\noptions (also in ponder.ini and as PONDER_NAME):\n");
        print_settings(SETTING_SHARED);
        if (c->run == cmd_chat) print_settings(SETTING_CHAT);
    }
    return cli_finish(0);
}

int cmd_help(int argc, char **argv)
{
    if (argc > 1) return cli_command_help(argv[1]);
    printf("ponder %s - talk to a local reasoning model, and steer how long it thinks\n\nusage: ponder [COMMAND] [options]\n\n", PONDER_VERSION);
    for (const struct command *c = cli_commands; c->name; c++) printf("  %-11s %s\n", c->name, c->help);
    printf("\n`ponder help COMMAND` shows its options. Exit codes: 0 done, 1 failed, 2 usage, 3 unusable file.\n");
    return cli_finish(0);
}

/* ---- picking the command ---------------------------------------------------------------------------------------- */

/* A closed standard descriptor would be reused by the next file opened, and a stray message would then land in the database. */
static void hold_standard_descriptors(void)
{
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF) {
            int null = open("/dev/null", fd ? O_WRONLY : O_RDONLY);
            if (null < 0) _exit(1);
        }
}

static void put_error(const char *text)
{
    ssize_t ignored = write(STDERR_FILENO, text, strlen(text));
    (void)ignored;
}

/* A model file that was cut short while it is mapped. The reply so far is in the record; nothing else can be saved from here. */
static void on_bus(int sig, siginfo_t *info, void *context)
{
    (void)context;
    crash_claim();
    const char *file = info->si_code > 0 ? model_file_at(info->si_addr) : NULL;
    if (file) {
        put_error("ponder: ");
        put_error(file);
        put_error(": was cut short or cannot be read any more, while it was in use\n");
        _exit(err_exit_code(ERR_FILE));
    }
    signal(sig, SIG_DFL);
    if (info->si_code <= 0) raise(sig);
}

int cli_main(int argc, char **argv)
{
    hold_standard_descriptors();
    setlocale(LC_ALL, "");
    setlocale(LC_NUMERIC, "C");
    signal(SIGPIPE, SIG_IGN);
    struct sigaction bus = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGBUS, &bus, NULL);
    umask(077);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});      /* a core file would hold the conversation */
    chat_find_adapters(model_adapter_of);
    static char chat[] = "chat";
    char *none[] = {chat, NULL};
    if (argc < 2) return cmd_chat(1, none);
    if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
        printf("ponder %s\n", PONDER_VERSION);
        return cli_finish(0);
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) return cmd_help(1, argv + 1);
    if (argv[1][0] == '-') {
        argv[0] = chat;
        return cmd_chat(argc, argv);
    }
    const struct command *c = find(argv[1]);
    if (!c) {
        struct str line = STR_EMPTY;
        str_addf(&line, "there is no command \"%s\" (see `ponder help`; a question goes to `ponder ask`)", argv[1]);
        say_error(str_cstr(&line));
        str_release(&line);
        return 2;
    }
    for (int i = 2; i < argc && strcmp(argv[i], "--"); i++)
        if (!strcmp(argv[i], "--help")) return cli_command_help(c->name);
    /* chat and ask build higher walls; what this kernel cannot do, doctor tells */
    if (c->run != cmd_pull && c->run != cmd_chat && c->run != cmd_ask) sandbox_calls(false, NULL);
    return c->run(argc - 1, argv + 1);
}

int cmd_inspect(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(int, char **);
    } parts[] = {{"tokenize", cmd_inspect_tokenize}, {"logits", cmd_inspect_logits}, {"prompt", cmd_inspect_prompt}, {"gguf", cmd_inspect_gguf}};
    for (size_t i = 0; argc > 1 && i < ARRAY_LEN(parts); i++)
        if (!strcmp(argv[1], parts[i].name)) return parts[i].run(argc - 1, argv + 1);
    return cli_usage("inspect", "name one of: tokenize, logits, prompt, gguf");
}
