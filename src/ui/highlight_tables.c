/*
 * highlight_tables.c - what the highlighters know: words, comments and strings of each language. Read by highlight.c only.
 *
 * Lists of words are ascending by byte value; names are unique over all languages.
 */
#include "ui/highlight.h"

static const char *const c_words[] = {
    "NULL",     "_Alignas", "_Alignof", "_Atomic",  "_Bool",    "_Generic", "_Noreturn", "_Static_assert", "_Thread_local",
    "auto",     "bool",     "break",    "case",     "char",     "const",    "continue",  "default",        "do",
    "double",   "else",     "enum",     "extern",   "false",    "float",    "for",       "goto",           "if",
    "inline",   "int",      "int16_t",  "int32_t",  "int64_t",  "int8_t",   "long",      "ptrdiff_t",      "register",
    "restrict", "return",   "short",    "signed",   "size_t",   "sizeof",   "ssize_t",   "static",         "struct",
    "switch",   "true",     "typedef",  "typeof",   "uint16_t", "uint32_t", "uint64_t",  "uint8_t",        "uintptr_t",
    "union",    "unsigned", "void",     "volatile", "while",
};

static const char *const cpp_words[] = {
    "alignas",  "alignof",       "and",         "bitand",    "bitor",     "catch",     "class",        "co_await", "co_return",
    "co_yield", "concept",       "const_cast",  "consteval", "constexpr", "constinit", "decltype",     "delete",   "dynamic_cast",
    "explicit", "export",        "final",       "friend",    "module",    "mutable",   "namespace",    "new",      "noexcept",
    "not",      "nullptr",       "operator",    "or",        "override",  "private",   "protected",    "public",   "reinterpret_cast",
    "requires", "static_assert", "static_cast", "string",    "template",  "this",      "thread_local", "throw",    "try",
    "typeid",   "typename",      "using",       "vector",    "virtual",   "wchar_t",   "xor",
};

static const char *const python_words[] = {
    "False", "None",     "True", "and",    "as",      "assert", "async",  "await",  "break", "case",   "class", "continue", "def",
    "del",   "elif",     "else", "except", "finally", "for",    "from",   "global", "if",    "import", "in",    "is",       "lambda",
    "match", "nonlocal", "not",  "or",     "pass",    "raise",  "return", "self",   "try",   "while",  "with",  "yield",
};

static const char *const shell_words[] = {
    "alias",  "break", "case",   "cd",     "continue", "declare",  "do",   "done", "echo",  "elif",   "else",  "esac",     "eval",
    "exec",   "exit",  "export", "fi",     "for",      "function", "if",   "in",   "local", "printf", "read",  "readonly", "return",
    "select", "set",   "shift",  "source", "test",     "then",     "time", "trap", "unset", "until",  "while",
};

static const char *const json_words[] = {
    "false",
    "null",
    "true",
};

static const char *const js_words[] = {
    "async",      "await",  "break",   "case",      "catch",   "class",  "const", "continue", "debugger", "default", "delete", "do",
    "else",       "export", "extends", "false",     "finally", "for",    "from",  "function", "get",      "if",      "import", "in",
    "instanceof", "let",    "new",     "null",      "of",      "return", "set",   "static",   "super",    "switch",  "this",   "throw",
    "true",       "try",    "typeof",  "undefined", "var",     "void",   "while", "with",     "yield",
};

static const char *const ts_words[] = {
    "abstract", "any",       "as",     "asserts",  "bigint",    "boolean",   "declare", "enum",   "implements",
    "infer",    "interface", "is",     "keyof",    "module",    "namespace", "never",   "number", "object",
    "private",  "protected", "public", "readonly", "satisfies", "string",    "symbol",  "type",   "unknown",
};

static const char *const sql_words[] = {
    "add",        "all",         "alter",        "and",
    "any",        "as",          "asc",          "auto_increment",
    "begin",      "between",     "bigint",       "blob",
    "boolean",    "by",          "cascade",      "case",
    "cast",       "char",        "check",        "collate",
    "column",     "commit",      "constraint",   "count",
    "create",     "cross",       "current_date", "current_timestamp",
    "database",   "date",        "decimal",      "default",
    "delete",     "desc",        "distinct",     "double",
    "drop",       "else",        "end",          "escape",
    "except",     "exists",      "explain",      "false",
    "float",      "for",         "foreign",      "from",
    "full",       "function",    "grant",        "group",
    "having",     "if",          "ignore",       "in",
    "index",      "inner",       "insert",       "int",
    "integer",    "intersect",   "into",         "is",
    "join",       "key",         "left",         "like",
    "limit",      "natural",     "not",          "null",
    "numeric",    "offset",      "on",           "or",
    "order",      "outer",       "over",         "partition",
    "pragma",     "primary",     "real",         "recursive",
    "references", "rename",      "replace",      "returning",
    "revoke",     "right",       "rollback",     "row",
    "rows",       "select",      "set",          "smallint",
    "table",      "text",        "then",         "timestamp",
    "to",         "transaction", "trigger",      "true",
    "truncate",   "union",       "unique",       "update",
    "using",      "values",      "varchar",      "view",
    "when",       "where",       "window",       "with",
    "without",
};

static const char *const rust_words[] = {
    "Box",  "Err",   "None", "Ok",    "Option",   "Result", "Self", "Some",   "String", "Vec",    "as",    "async", "await",       "bool",
    "box",  "break", "char", "const", "continue", "crate",  "dyn",  "else",   "enum",   "extern", "f32",   "f64",   "false",       "fn",
    "for",  "i128",  "i16",  "i32",   "i64",      "i8",     "if",   "impl",   "in",     "isize",  "let",   "loop",  "macro_rules", "match",
    "mod",  "move",  "mut",  "pub",   "ref",      "return", "self", "static", "str",    "struct", "super", "trait", "true",        "type",
    "u128", "u16",   "u32",  "u64",   "u8",       "unsafe", "use",  "usize",  "where",  "while",  "yield",
};

static const char *const go_words[] = {
    "any",       "append",  "bool",      "break", "byte",    "cap",    "case",   "chan",   "close", "comparable",  "complex128",
    "complex64", "const",   "continue",  "copy",  "default", "defer",  "delete", "else",   "error", "fallthrough", "false",
    "float32",   "float64", "for",       "func",  "go",      "goto",   "if",     "import", "int",   "int16",       "int32",
    "int64",     "int8",    "interface", "iota",  "len",     "make",   "map",    "new",    "nil",   "package",     "panic",
    "range",     "recover", "return",    "rune",  "select",  "string", "struct", "switch", "true",  "type",        "uint",
    "uint16",    "uint32",  "uint64",    "uint8", "uintptr", "var",
};

#define WORDS(list) .keywords = list, .n_keywords = ARRAY_LEN(list)
#define MORE(list)  .more = list, .n_more = ARRAY_LEN(list)
#define C_COMMENTS  .line_comments = {"//"}, .block_open = "/*", .block_close = "*/"

const struct highlight highlight_table[] = {
    {
        .names = "c h",
        WORDS(c_words),
        C_COMMENTS,
        .strings = {{"\"", "\"", true, false}, {"'", "'", true, false}},
        .flags = HIGHLIGHT_DIRECTIVES,
    },
    {
        .names = "cpp c++ cc cxx hpp hh arduino",
        WORDS(c_words),
        MORE(cpp_words),
        C_COMMENTS,
        .strings = {{"R\"(", ")\"", false, true}, {"\"", "\"", true, false}, {"'", "'", true, false}},
        .flags = HIGHLIGHT_DIRECTIVES,
    },
    {
        .names = "python py python3 py3 pycon",
        WORDS(python_words),
        .line_comments = {"#"},
        .strings = {{"\"\"\"", "\"\"\"", true, true}, {"'''", "'''", true, true}, {"\"", "\"", true, false}, {"'", "'", true, false}},
    },
    {
        .names = "sh bash shell zsh ksh console shell-session",
        WORDS(shell_words),
        .line_comments = {"#"},
        .strings = {{"\"", "\"", true, true}, {"$'", "'", true, true}, {"'", "'", false, true}, {"`", "`", true, true}},
        .flags = HIGHLIGHT_SHELL,
    },
    {
        .names = "json jsonc json5 jsonl",
        WORDS(json_words),
        C_COMMENTS,
        .strings = {{"\"", "\"", true, false}},
        .flags = HIGHLIGHT_KEYS,
    },
    {
        .names = "js javascript jsx mjs cjs node",
        WORDS(js_words),
        C_COMMENTS,
        .strings = {{"`", "`", true, true}, {"\"", "\"", true, false}, {"'", "'", true, false}},
    },
    {
        .names = "ts typescript tsx mts",
        WORDS(js_words),
        MORE(ts_words),
        C_COMMENTS,
        .strings = {{"`", "`", true, true}, {"\"", "\"", true, false}, {"'", "'", true, false}},
    },
    {
        .names = "sql sqlite sqlite3 mysql postgresql postgres psql plsql",
        WORDS(sql_words),
        .line_comments = {"--"},
        .block_open = "/*",
        .block_close = "*/",
        .strings = {{"'", "'", false, true}, {"\"", "\"", false, true}},
        .flags = HIGHLIGHT_ANY_CASE,
    },
    {
        .names = "rust rs",
        WORDS(rust_words),
        C_COMMENTS,
        .strings = {{"\"", "\"", true, true}, {"'", "'", true, false}},
        .flags = HIGHLIGHT_RUST | HIGHLIGHT_NESTED,
    },
    {
        .names = "go golang",
        WORDS(go_words),
        C_COMMENTS,
        .strings = {{"`", "`", false, true}, {"\"", "\"", true, false}, {"'", "'", true, false}},
    },
};
const size_t highlight_count = ARRAY_LEN(highlight_table);
