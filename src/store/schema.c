/*
 * schema.c - the tables of the record, as steps from each version of the file to the next.
 *
 * PRAGMA user_version counts the steps taken. A step, once released, is never changed: what comes later is a step of its own, and all
 * steps that a file lacks run in one transaction. The columns are explained in docs/schema.md.
 *
 * A reply's two texts are in its row once it has ended; while it streams they are in `chunks`, so that a piece costs one small
 * insert however long the reply is. Full text (message_index) keeps no copy of the text: it looks texts up through the view
 * search_source. Ids are never used twice (AUTOINCREMENT): a c12 or m34 seen on a screen stays true.
 */
#include "store/internal.h"

/* clang-format off */
#define TABLES \
    "CREATE TABLE conversations(" \
    "  id INTEGER PRIMARY KEY AUTOINCREMENT," \
    "  title TEXT NOT NULL DEFAULT ''," \
    "  system TEXT NOT NULL DEFAULT ''," \
    "  leaf INTEGER REFERENCES messages(id) ON DELETE SET NULL," \
    "  created_ms INTEGER NOT NULL," \
    "  updated_ms INTEGER NOT NULL) STRICT;" \
    "CREATE INDEX conversations_by_update ON conversations(updated_ms, id);" \
    "CREATE INDEX conversations_by_leaf ON conversations(leaf);" \
    "CREATE TABLE messages(" \
    "  id INTEGER PRIMARY KEY AUTOINCREMENT," \
    "  conversation INTEGER NOT NULL REFERENCES conversations(id) ON DELETE CASCADE," \
    "  parent INTEGER REFERENCES messages(id) ON DELETE CASCADE CHECK(parent < id)," \
    "  role TEXT NOT NULL CHECK(role IN ('user', 'assistant'))," \
    "  active INTEGER NOT NULL DEFAULT 0 CHECK(active IN (0, 1))," \
    "  streaming INTEGER NOT NULL DEFAULT 0 CHECK(streaming IN (0, 1))," \
    "  created_ms INTEGER NOT NULL," \
    "  text TEXT NOT NULL DEFAULT ''," \
    "  thought TEXT NOT NULL DEFAULT ''," \
    "  edited_text TEXT," \
    "  edited_thought TEXT," \
    "  fold TEXT) STRICT;" \
    "CREATE INDEX messages_by_conversation ON messages(conversation, parent);" \
    "CREATE INDEX messages_by_parent ON messages(parent);" \
    "CREATE INDEX messages_active ON messages(conversation) WHERE active = 1;" \
    "CREATE TABLE replies(" \
    "  message INTEGER PRIMARY KEY REFERENCES messages(id) ON DELETE CASCADE," \
    "  model TEXT NOT NULL DEFAULT '', model_file TEXT, model_sha256 TEXT, quant TEXT, family TEXT, adapter TEXT," \
    "  engine_version TEXT, kernels TEXT, threads INTEGER," \
    "  system TEXT NOT NULL DEFAULT ''," \
    "  seed INTEGER, temp REAL, top_k INTEGER, top_p REAL, min_p REAL, repeat_penalty REAL," \
    "  budget TEXT, budget_final TEXT, think_min INTEGER, answer_max INTEGER," \
    "  prompt_tokens INTEGER, context INTEGER," \
    "  ended TEXT, answer_ended TEXT," \
    "  thought_tokens INTEGER, answer_tokens INTEGER, escaped INTEGER, extensions INTEGER," \
    "  thought_ms INTEGER, answer_ms INTEGER, prefill_ms INTEGER, tokens_per_s REAL) STRICT;" \
    "CREATE INDEX replies_without_hash ON replies(model_file) WHERE model_sha256 IS NULL;" \
    "CREATE TABLE streams(" \
    "  message INTEGER PRIMARY KEY REFERENCES messages(id) ON DELETE CASCADE," \
    "  slot INTEGER NOT NULL," \
    "  writer TEXT NOT NULL) STRICT;" \
    "CREATE TABLE chunks(" \
    "  id INTEGER PRIMARY KEY," \
    "  message INTEGER NOT NULL REFERENCES messages(id) ON DELETE CASCADE," \
    "  thought TEXT NOT NULL," \
    "  answer TEXT NOT NULL) STRICT;" \
    "CREATE INDEX chunks_by_message ON chunks(message);" \
    "CREATE TABLE events(" \
    "  id INTEGER PRIMARY KEY," \
    "  message INTEGER NOT NULL REFERENCES messages(id) ON DELETE CASCADE," \
    "  position INTEGER NOT NULL," \
    "  kind TEXT NOT NULL," \
    "  value TEXT," \
    "  created_ms INTEGER NOT NULL) STRICT;" \
    "CREATE INDEX events_by_message ON events(message);" \
    "CREATE TABLE spans(" \
    "  id INTEGER PRIMARY KEY," \
    "  message INTEGER NOT NULL REFERENCES messages(id) ON DELETE CASCADE," \
    "  position INTEGER NOT NULL," \
    "  byte_offset INTEGER NOT NULL," \
    "  byte_length INTEGER NOT NULL," \
    "  kind TEXT NOT NULL," \
    "  author TEXT NOT NULL) STRICT;" \
    "CREATE INDEX spans_by_message ON spans(message);" \
    "CREATE TABLE ratings(" \
    "  message INTEGER NOT NULL REFERENCES messages(id) ON DELETE CASCADE," \
    "  part TEXT NOT NULL CHECK(part IN ('answer', 'thought'))," \
    "  value INTEGER NOT NULL DEFAULT 0 CHECK(value BETWEEN -1 AND 1)," \
    "  reasons TEXT NOT NULL DEFAULT '[]'," \
    "  comment TEXT," \
    "  rated_ms INTEGER NOT NULL," \
    "  PRIMARY KEY(message, part)) STRICT, WITHOUT ROWID;" \
    "CREATE TABLE tags(" \
    "  message INTEGER NOT NULL REFERENCES messages(id) ON DELETE CASCADE," \
    "  tag TEXT NOT NULL," \
    "  PRIMARY KEY(message, tag)) STRICT, WITHOUT ROWID;" \
    "CREATE INDEX tags_by_name ON tags(tag);" \
    "CREATE TABLE drafts(" \
    "  conversation INTEGER PRIMARY KEY," /* 0 stands for none, so this is no foreign key */ \
    "  text TEXT NOT NULL) STRICT;" \
    "CREATE TABLE notes(" \
    "  name TEXT PRIMARY KEY," \
    "  value TEXT NOT NULL) STRICT, WITHOUT ROWID;"

/* message_index has the rows of search_source: every message that does not stream. It is fed by search.c and not by triggers, since FTS5
 * may not be used from a schema that is not trusted (SQLite 3.40). */
#define FULL_TEXT \
    "CREATE VIEW search_source(id, prompt, answer, thought, edited_answer, edited_thought) AS" \
    "  SELECT id, CASE role WHEN 'user' THEN text ELSE '' END, CASE role WHEN 'user' THEN '' ELSE text END, thought," \
    "    coalesce(edited_text, ''), coalesce(edited_thought, '')" \
    "  FROM messages WHERE streaming = 0;" \
    "CREATE VIRTUAL TABLE message_index USING fts5(prompt, answer, thought, edited_answer, edited_thought," \
    "  content='search_source', content_rowid='id', tokenize='unicode61 remove_diacritics 2');" \
    "CREATE TRIGGER conversations_deleted AFTER DELETE ON conversations BEGIN" \
    "  DELETE FROM drafts WHERE conversation = old.id; END;"

/* What has streamed so far, for rows whose texts are still in pieces. */
#define PIECES(column) \
    "coalesce((SELECT group_concat(" column ", '') FROM (SELECT " column " FROM chunks WHERE message = m.id ORDER BY id)), '')"

/* A JSON array. SQLite's own JSON functions are not for schemas that are not trusted (3.40); store_tag lets no control characters in. */
#define TAG_LIST \
    "(SELECT '[' || coalesce(group_concat('\"' || replace(replace(tag, '\\', '\\\\'), '\"', '\\\"') || '\"', ','), '') || ']'" \
    " FROM (SELECT tag FROM tags WHERE message = m.id ORDER BY tag))"

#define ISO_TIME(column) \
    "strftime('%Y-%m-%dT%H:%M:%S.', " column " / 1000, 'unixepoch') || substr('00' || (" column " % 1000), -3) || 'Z'"

#define TURNS(more) \
    "CREATE VIEW turns AS SELECT" \
    "  m.id AS message_id," \
    "  m.conversation AS conversation_id," \
    "  m.parent AS reply_to," \
    "  m.active AS active," \
    "  " ISO_TIME("m.created_ms") " AS created_at," \
    "  r.model AS model," \
    "  r.model_sha256 AS model_sha256," \
    "  r.system AS system," \
    "  coalesce(p.text, '') AS prompt," \
    "  CASE m.streaming WHEN 0 THEN m.thought ELSE " PIECES("thought") " END AS thought," \
    "  CASE m.streaming WHEN 0 THEN m.text ELSE " PIECES("answer") " END AS answer," \
    "  r.thought_tokens AS thought_tokens," \
    "  r.answer_tokens AS answer_tokens," \
    "  r.thought_ms AS thought_ms," \
    "  r.answer_ms AS answer_ms," \
    "  r.budget AS budget," \
    "  r.budget_final AS budget_final," \
    "  r.ended AS ended," \
    "  r.answer_ended AS answer_ended," \
    "  coalesce(t.value, 0) AS thought_rating," \
    "  coalesce(a.value, 0) AS answer_rating," \
    "  coalesce(t.reasons, '[]') AS thought_reasons," \
    "  coalesce(a.reasons, '[]') AS answer_reasons," \
    "  t.comment AS thought_comment," \
    "  a.comment AS answer_comment," \
    "  m.edited_thought AS edited_thought," \
    "  m.edited_text AS edited_answer," \
    "  " TAG_LIST " AS tags," \
    "  r.seed AS seed" more \
    " FROM messages m JOIN replies r ON r.message = m.id" \
    " LEFT JOIN messages p ON p.id = m.parent" \
    " LEFT JOIN ratings t ON t.message = m.id AND t.part = 'thought'" \
    " LEFT JOIN ratings a ON a.message = m.id AND a.part = 'answer';"

/* Version 2: votes on pairs, ratings of a thought's steps, the log for taking ratings back, where a conversation was imported from. */
#define LEARNING_TABLES \
    "ALTER TABLE messages ADD COLUMN edited_ms INTEGER;" \
    "ALTER TABLE conversations ADD COLUMN origin TEXT;" \
    "CREATE UNIQUE INDEX conversations_by_origin ON conversations(origin) WHERE origin IS NOT NULL;" \
    "CREATE TABLE votes(" \
    "  id INTEGER PRIMARY KEY AUTOINCREMENT," \
    "  a INTEGER NOT NULL REFERENCES messages(id) ON DELETE CASCADE," \
    "  b INTEGER NOT NULL REFERENCES messages(id) ON DELETE CASCADE CHECK(a <> b)," \
    "  verdict TEXT NOT NULL CHECK(verdict IN ('a', 'b', 'tie', 'both_bad', 'skip'))," \
    "  strength INTEGER CHECK(strength BETWEEN 1 AND 3)," \
    "  shown_first TEXT CHECK(shown_first IN ('a', 'b'))," \
    "  blind INTEGER NOT NULL DEFAULT 0 CHECK(blind IN (0, 1))," \
    "  spent_ms INTEGER," \
    "  voted_ms INTEGER NOT NULL) STRICT;" \
    "CREATE UNIQUE INDEX votes_by_pair ON votes(min(a, b), max(a, b));" \
    "CREATE INDEX votes_by_a ON votes(a);" \
    "CREATE INDEX votes_by_b ON votes(b);" \
    "CREATE TABLE steps(" \
    "  message INTEGER NOT NULL REFERENCES messages(id) ON DELETE CASCADE," \
    "  step INTEGER NOT NULL CHECK(step > 0)," \
    "  unit TEXT NOT NULL CHECK(unit IN ('paragraph', 'sentence'))," \
    "  byte_offset INTEGER NOT NULL," \
    "  byte_length INTEGER NOT NULL," \
    "  value INTEGER NOT NULL CHECK(value BETWEEN -1 AND 1)," \
    "  rated_ms INTEGER NOT NULL," \
    "  PRIMARY KEY(message, step)) STRICT, WITHOUT ROWID;" \
    "CREATE TABLE undo(" \
    "  id INTEGER PRIMARY KEY AUTOINCREMENT," \
    "  batch INTEGER NOT NULL," \
    "  message INTEGER NOT NULL REFERENCES messages(id) ON DELETE CASCADE," \
    "  kind TEXT NOT NULL," \
    "  before TEXT NOT NULL," \
    "  made_ms INTEGER NOT NULL) STRICT;" \
    "CREATE INDEX undo_by_message ON undo(message);" \
    "CREATE INDEX undo_by_batch ON undo(batch);"

#define PAIRS \
    "CREATE VIEW pairs AS SELECT" \
    "  'vote' AS source, v.id AS pair_id, x.conversation AS conversation_id, x.parent AS reply_to, v.a AS message_a, v.b AS message_b," \
    "  v.verdict AS verdict, v.strength AS strength, v.shown_first AS shown_first, v.blind AS blind, v.spent_ms AS spent_ms," \
    "  CASE v.verdict WHEN 'a' THEN v.a WHEN 'b' THEN v.b END AS chosen," \
    "  CASE v.verdict WHEN 'a' THEN v.b WHEN 'b' THEN v.a END AS rejected," \
    "  " ISO_TIME("v.voted_ms") " AS created_at, r.system AS system, coalesce(p.text, '') AS prompt," \
    "  x.thought AS thought_a, x.text AS answer_a, y.thought AS thought_b, y.text AS answer_b" \
    " FROM votes v JOIN messages x ON x.id = v.a JOIN messages y ON y.id = v.b JOIN replies r ON r.message = v.a" \
    " LEFT JOIN messages p ON p.id = x.parent" \
    " UNION ALL SELECT" \
    "  'edit', NULL, x.conversation, x.parent, x.id, x.id, 'a', NULL, NULL, 0, NULL, x.id, x.id," \
    "  " ISO_TIME("x.edited_ms") ", r.system, coalesce(p.text, '')," \
    "  coalesce(x.edited_thought, x.thought), coalesce(x.edited_text, x.text), x.thought, x.text" \
    " FROM messages x JOIN replies r ON r.message = x.id LEFT JOIN messages p ON p.id = x.parent" \
    " WHERE coalesce(x.edited_thought, x.thought) <> x.thought OR coalesce(x.edited_text, x.text) <> x.text;"

#define STEP_RATINGS \
    "CREATE VIEW step_ratings AS SELECT" \
    "  s.message AS message_id, m.conversation AS conversation_id, s.step AS step, s.unit AS unit," \
    "  CAST(substr(CAST(m.thought AS BLOB), s.byte_offset + 1, s.byte_length) AS TEXT) AS text," \
    "  CASE s.value WHEN 1 THEN 'good' WHEN 0 THEN 'neutral' ELSE 'bad' END AS rating," \
    "  " ISO_TIME("s.rated_ms") " AS created_at" \
    " FROM steps s JOIN messages m ON m.id = s.message;"

#define BUDGET_EVENTS \
    "CREATE VIEW budget_events AS SELECT" \
    "  v.message AS message_id, m.conversation AS conversation_id, v.position AS position, v.kind AS kind, v.value AS value," \
    "  " ISO_TIME("v.created_ms") " AS created_at" \
    " FROM events v JOIN messages m ON m.id = v.message;"

#define TURNS_MORE \
    ", r.quant AS quant, r.family AS family, r.adapter AS adapter, r.engine_version AS engine_version," \
    " r.temp AS temp, r.top_k AS top_k, r.top_p AS top_p, r.min_p AS min_p, r.repeat_penalty AS repeat_penalty," \
    " r.extensions AS extensions, r.escaped AS escaped, r.tokens_per_s AS tokens_per_s"

/* Version 3: what else a reply's text hangs on, so that it can be written again. thought_of names the reply whose thought this one was given. */
#define REPLAY_COLUMNS \
    "ALTER TABLE replies ADD COLUMN think TEXT;" \
    "ALTER TABLE replies ADD COLUMN cot TEXT;" \
    "ALTER TABLE replies ADD COLUMN keep_thoughts INTEGER;" \
    "ALTER TABLE replies ADD COLUMN loop_guard INTEGER;" \
    "ALTER TABLE replies ADD COLUMN thought_of INTEGER;"

#define TURNS_REPLAY TURNS_MORE ", r.think AS think, r.cot AS cot, r.thought_of AS thought_of"
/* clang-format on */

static const char *const steps[] = {
    "PRAGMA application_id = 1886350948;" TABLES FULL_TEXT TURNS(""),
    LEARNING_TABLES "DROP VIEW turns;" TURNS(TURNS_MORE) PAIRS STEP_RATINGS BUDGET_EVENTS,
    REPLAY_COLUMNS "DROP VIEW turns;" TURNS(TURNS_REPLAY),
};
_Static_assert(STORE_APPLICATION_ID == 1886350948, "the first step writes the number that schema_check looks for");

int schema_check(struct store *s, int64_t *version, struct err *e)
{
    const char *name = s->path ? s->path : "the conversations in memory";
    int64_t application = 0, objects = 0;

    *version = 0;
    int rc = db_number(s, "PRAGMA application_id", &application, e);
    if (!rc) rc = db_number(s, "PRAGMA user_version", version, e);
    if (!rc) rc = db_number(s, "SELECT count(*) FROM sqlite_schema", &objects, e);
    if (rc) return rc;
    if (application == 0 && *version == 0 && objects == 0) return 0;
    if (application != STORE_APPLICATION_ID) return err_set(e, ERR_DB, "%s: is a database of another program", name);
    if (*version > (int64_t)ARRAY_LEN(steps))
        return err_set(e, ERR_NEWER, "%s: was made by a newer version of ponder (file version %lld, this program knows up to %zu)", name,
                       (long long)*version, ARRAY_LEN(steps));
    if (*version < 1) return err_set(e, ERR_DB, "%s: its version number is damaged", name);
    return 0;
}

static int take_steps(struct store *s, struct err *e)
{
    int64_t version = 0;
    char pragma[64];

    /* looked at again inside the transaction: another program may have taken the steps meanwhile */
    int rc = schema_check(s, &version, e);
    if (rc || version == (int64_t)ARRAY_LEN(steps)) return rc;
    for (size_t i = (size_t)version; i < ARRAY_LEN(steps) && !rc; i++) rc = db_exec(s, steps[i], e);
    snprintf(pragma, sizeof pragma, "PRAGMA user_version = %zu", ARRAY_LEN(steps));
    return rc ? rc : db_exec(s, pragma, e);
}

int schema_migrate(struct store *s, struct err *e)
{
    int64_t version = 0;

    int rc = schema_check(s, &version, e);
    if (rc || version == (int64_t)ARRAY_LEN(steps)) return rc;
    rc = db_begin(s, e);
    if (rc) return rc;
    return db_end(s, take_steps(s, e), e);
}
