/* lexicon.c - names, words, and words that are made up. */
#include "tasks/internal.h"

#include <string.h>

/* Of women and men in turn. */
const char *const lexicon_names[] = {
    "Anna", "Ben", "Mia", "Tom", "Lena", "Paul", "Sara", "Max", "Nora", "Sam", "Emma", "Leo", "Julia", "Omar", "Lucy", "Jack", "Maria",
    "Hugo", "Ella", "Ivan", "Rosa", "Karl", "Zoe", "Liam", "Kate", "Noah", "Tina", "Raj", "Olga", "Eric", "Jane", "Luke", "Amy", "Dan",
    "Ruth", "Mark", "Lily", "Adam", "Mona", "Peter", "Yuki", "Carlos", "Priya", "Ahmed", "Clara", "Viktor", "Helen", "Roger", "Fatima",
    "James", "Nina", "Oscar", "Alice", "David", "Grace", "Henry",
};
const size_t lexicon_names_count = ARRAY_LEN(lexicon_names);

/* By alphabet. */
const char *const lexicon_words[] = {
    "about", "above", "accident", "account", "accuracy", "accurate", "across", "act", "active", "acts", "adapter", "add", "added",
    "address", "afford", "after", "again", "against", "agree", "ahead", "airport", "all", "allow", "alone", "alpaca", "also", "although",
    "always", "among", "ancient", "and", "angle", "angry", "another", "answer", "antenna", "any", "anything", "apart", "apple", "apt",
    "are", "arithmetic", "around", "array", "aside", "ask", "assert", "assistant", "atomic", "attend", "attention", "aunt", "author",
    "autumn", "away", "axolotl", "back", "backup", "bad", "badger", "baker", "balance", "ball", "banana", "bare", "bargain", "base", "bash",
    "basket", "bat", "batch", "battery", "beach", "beautiful", "beaver", "because", "become", "becomes", "been", "beetle", "before",
    "begin", "beginning", "behind", "being", "below", "bench", "beside", "best", "beta", "better", "between", "bicycle", "big", "biology",
    "birthday", "biscuit", "bit", "blanket", "blind", "block", "blossom", "boat", "both", "bottle", "bound", "boy", "branch", "brave",
    "bread", "break", "breakfast", "bridge", "bright", "broken", "brother", "brought", "bucket", "budget", "bug", "build", "but", "butcher",
    "butter", "butterfly", "button", "buy", "cabbage", "cache", "calculate", "calendar", "call", "caller", "calling", "came", "can",
    "candle", "cannot", "car", "careful", "carrot", "castle", "cat", "catalogue", "century", "ceremony", "chair", "champion", "change",
    "chapter", "chat", "check", "checked", "cheerful", "cheese", "chemistry", "cherry", "chicken", "child", "chocolate", "choose", "chose",
    "chosen", "chunk", "church", "cinnamon", "circle", "circuit", "citizen", "city", "claim", "clang", "class", "classes", "clever",
    "clone", "close", "closed", "code", "coder", "coffee", "collect", "college", "colony", "column", "come", "comes", "comet", "command",
    "comment", "commit", "committee", "common", "compare", "compiler", "complete", "completion", "concert", "content", "context",
    "continue", "contract", "control", "controller", "copied", "copy", "core", "corrected", "correction", "cost", "cot", "could", "count",
    "courage", "cousin", "cowardly", "crash", "culture", "cup", "curious", "cursor", "curve", "custom", "cut", "cylinder", "damage",
    "dancer", "danger", "dangerous", "data", "database", "daughter", "day", "debate", "decade", "decision", "decode", "default", "defense",
    "defensive", "definition", "degree", "deletion", "delight", "demand", "denote", "depend", "depth", "describe", "desert", "design",
    "detail", "develop", "diameter", "diamond", "did", "different", "digital", "dimension", "dinner", "discover", "disease", "disk",
    "distance", "distant", "district", "divergence", "divide", "division", "doctor", "document", "dog", "dolphin", "domestic", "done",
    "donkey", "down", "dragon", "drive", "drop", "drum", "dry", "dumb", "each", "eagle", "ear", "eat", "echo", "economy", "edit", "editor",
    "education", "effort", "egg", "eight", "either", "election", "electric", "element", "else", "emotion", "empire", "employee", "empty",
    "encrypt", "end", "ended", "ending", "enemy", "energy", "engine", "engineer", "entrance", "envelope", "equal", "equation", "err",
    "error", "escape", "estimate", "evaluate", "evening", "evenly", "event", "ever", "every", "everything", "evidence", "exact", "exactly",
    "exactness", "example", "executed", "exercise", "exit", "expand", "expanded", "expanding", "expansion", "experience", "expert",
    "explain", "export", "eye", "fail", "failing", "failure", "falcon", "family", "famous", "far", "farmer", "farther", "fashion", "faster",
    "fat", "father", "fault", "favorite", "feature", "festival", "few", "fiction", "field", "figure", "file", "final", "find", "fine",
    "finger", "finish", "finished", "first", "fish", "fit", "five", "fix", "fixed", "flash", "flavor", "float", "flower", "fly", "focus",
    "fog", "fold", "folder", "follow", "foolish", "for", "force", "forced", "foreign", "forest", "forget", "form", "format", "fortune",
    "forward", "found", "four", "fraction", "free", "freedom", "freight", "frequent", "friend", "frog", "from", "front", "full", "fun",
    "function", "furniture", "future", "fuzz", "galaxy", "gallery", "garden", "garlic", "gate", "gave", "general", "generous", "genius",
    "gentle", "geography", "get", "git", "give", "given", "glacier", "gloves", "goat", "goes", "golden", "gone", "good", "got",
    "government", "grammar", "grandson", "grant", "gravity", "great", "grid", "group", "guard", "guessing", "guitar", "gun", "habit", "had",
    "half", "hammer", "hand", "handle", "harbor", "hard", "harmful", "harvest", "hash", "hat", "have", "head", "header", "health", "heavy",
    "hedgehog", "height", "helmet", "help", "her", "here", "hidden", "hide", "high", "higher", "him", "his", "history", "hit", "hold",
    "holiday", "honest", "honey", "horse", "hospital", "hot", "hotel", "house", "how", "however", "humor", "hungry", "hunter", "hurry",
    "husband", "ice", "identity", "illness", "image", "imagine", "impact", "import", "included", "income", "industry", "infant", "ink",
    "inner", "input", "insect", "inside", "inspect", "install", "instead", "insurance", "integer", "interest", "into", "invention",
    "island", "isolate", "item", "its", "itself", "jacket", "jam", "job", "journey", "judgment", "jungle", "justice", "keep", "keeping",
    "kept", "kernel", "key", "keyboard", "kid", "kind", "kingdom", "kitchen", "know", "knowledge", "known", "label", "laborer", "ladder",
    "landscape", "language", "large", "last", "late", "later", "latter", "laugh", "laundry", "lawyer", "layer", "layout", "lead", "leader",
    "leaf", "learnt", "leather", "leave", "leaves", "left", "leg", "legend", "lemon", "length", "less", "lesson", "let", "letter", "level",
    "lever", "liberty", "library", "license", "lie", "light", "lightning", "like", "likely", "line", "links", "lint", "lip", "liquid",
    "list", "literature", "little", "live", "lizard", "llama", "load", "local", "locale", "locked", "log", "lonely", "long", "longer",
    "looking", "loop", "lora", "lose", "loss", "lot", "low", "lower", "machine", "mad", "made", "magazine", "magnet", "main", "make", "man",
    "manager", "manifest", "manner", "manual", "many", "map", "margin", "mark", "markdown", "marked", "market", "mask", "material",
    "matrices", "matrix", "max", "may", "mayor", "meadow", "mean", "meaning", "measure", "measured", "medicine", "melody", "melon",
    "memory", "men", "merchant", "message", "metal", "method", "midnight", "might", "million", "min", "mineral", "minimum", "minute",
    "miracle", "mirror", "missing", "mission", "mistake", "mix", "mixture", "mode", "model", "modern", "module", "moment", "monitor",
    "monkey", "monster", "more", "morning", "most", "mother", "motor", "mountain", "move", "moving", "much", "mud", "multiply", "muscle",
    "museum", "mushroom", "music", "must", "mutate", "mutation", "mystery", "name", "nation", "natural", "nature", "navy", "near",
    "necklace", "need", "needle", "needs", "neighbor", "net", "network", "neutral", "never", "new", "newspaper", "next", "nickel", "night",
    "nobody", "noisy", "none", "not", "notable", "note", "noted", "nothing", "notion", "novel", "nowhere", "number", "nurse", "nut", "oak",
    "object", "occasion", "ocean", "octopus", "off", "office", "often", "oil", "old", "older", "once", "one", "onion", "only", "opaque",
    "open", "operand", "opinion", "opposite", "orange", "orchestra", "order", "organ", "origin", "original", "other", "otter", "our", "out",
    "outcome", "output", "outside", "over", "owl", "own", "owner", "package", "page", "painter", "pair", "palace", "pan", "pancake", "pane",
    "panel", "paper", "parade", "paragraph", "parallel", "parent", "part", "partner", "pass", "passage", "passenger", "past", "paste",
    "patient", "pattern", "pause", "payment", "peach", "peak", "peasant", "peer", "pen", "pencil", "people", "pepper", "percent",
    "performance", "perhaps", "perimeter", "permission", "person", "pet", "philosophy", "photograph", "physical", "physics", "piano",
    "pick", "picnic", "picture", "piece", "pig", "pigeon", "pillow", "pin", "pioneer", "pip", "pirate", "place", "plain", "plane", "planet",
    "plastic", "platform", "pleasure", "plus", "pocket", "poem", "point", "pointer", "poison", "policy", "pollution", "pond", "ponder",
    "pool", "population", "pose", "position", "positive", "possession", "possible", "pot", "potato", "poverty", "power", "practice",
    "prayer", "presence", "president", "press", "pressure", "princess", "print", "printer", "prison", "privacy", "private", "privately",
    "probe", "problem", "process", "product", "profession", "profile", "profit", "program", "progress", "promise", "prompt", "property",
    "prophet", "protein", "province", "public", "pull", "pulley", "pumpkin", "purpose", "put", "pyramid", "python", "quality", "quant",
    "quantity", "quarrel", "quarter", "query", "question", "queue", "quickly", "quit", "quota", "rabbit", "radiation", "radius", "railway",
    "rainbow", "raised", "ran", "random", "raspberry", "rat", "rate", "rated", "rating", "ratio", "raven", "raw", "reach", "read", "reader",
    "reading", "ready", "real", "reality", "reason", "reasoning", "rebuild", "receipt", "record", "recorder", "rectangle", "red", "redact",
    "reference", "regenerate", "region", "relation", "release", "religion", "remember", "removed", "repeat", "repeated", "replay", "reply",
    "report", "repository", "represent", "republic", "request", "reroll", "rescue", "residual", "resource", "response", "rest", "result",
    "resume", "rethink", "returned", "revenge", "review", "reward", "rhythm", "rib", "rid", "riddle", "rifle", "right", "ring", "river",
    "rob", "robber", "rocket", "role", "romance", "roof", "room", "root", "rope", "rough", "round", "rounded", "rounding", "row", "rug",
    "rumor", "run", "running", "sad", "sadness", "safety", "said", "sailor", "salmon", "salvage", "same", "sample", "sampler", "sandbox",
    "sandwich", "satellite", "savage", "saved", "saw", "say", "scalar", "scale", "scaled", "scales", "scandal", "scarf", "schema",
    "scholar", "school", "science", "scissors", "screen", "scroll", "sculpture", "sea", "search", "season", "second", "secret", "section",
    "security", "see", "seed", "seem", "seen", "senate", "send", "sense", "sent", "sentence", "separately", "serve", "server", "service",
    "session", "set", "several", "shadow", "shape", "shaped", "share", "shark", "she", "sheep", "shell", "shelter", "shirt", "shoes",
    "short", "should", "shoulder", "show", "shown", "shy", "side", "sides", "signal", "silence", "silent", "silver", "since", "singer",
    "single", "sink", "sister", "sit", "situation", "six", "sixteen", "size", "skeleton", "skip", "sky", "slab", "sleep", "sleepy", "slice",
    "slightly", "slot", "slow", "slowly", "small", "smaller", "smile", "smooth", "snowflake", "soak", "society", "socket", "socks",
    "soldier", "solution", "solve", "some", "somebody", "something", "sometimes", "son", "sooner", "sorrow", "sorted", "source", "space",
    "sparrow", "speculate", "speech", "speed", "sphere", "spider", "spin", "spinach", "spirit", "split", "spring", "square", "squirrel",
    "stage", "stamp", "stand", "start", "state", "station", "statue", "stay", "stays", "step", "stepwise", "still", "stomach", "stood",
    "stop", "stopped", "storage", "store", "story", "stranger", "strategy", "strawberry", "stream", "streaming", "street", "strength",
    "strip", "structure", "struggle", "student", "style", "subtract", "success", "such", "suddenly", "sugar", "sum", "summer", "sun",
    "supper", "surface", "surgeon", "surprise", "survey", "swan", "sweep", "symbol", "sympathy", "symptom", "system", "table", "tables",
    "tag", "take", "taken", "talent", "target", "task", "tax", "tea", "teacher", "telescope", "tell", "temp", "template", "temple", "ten",
    "tendency", "tension", "tensor", "term", "terminal", "terrible", "territory", "test", "tested", "testing", "text", "than", "that",
    "the", "theater", "their", "theirs", "them", "theme", "then", "theory", "there", "therefore", "these", "they", "thief", "thing",
    "think", "thinking", "thirsty", "this", "those", "thought", "thousand", "thread", "threaded", "three", "throne", "through", "thunder",
    "ticket", "tie", "tile", "time", "times", "tin", "tiny", "tip", "tissue", "title", "tobacco", "toe", "together", "toggle", "token",
    "told", "tomato", "tomorrow", "tongue", "too", "top", "torch", "total", "touched", "tour", "tourist", "tower", "town", "toy",
    "tradition", "traffic", "tragedy", "train", "trained", "trainer", "training", "transcript", "travel", "treasure", "treat", "treaty",
    "tree", "trial", "triangle", "tribute", "tried", "triumph", "trouble", "trousers", "truck", "trumpet", "try", "trying", "tuning",
    "tunnel", "turn", "turned", "turns", "turtle", "twice", "twilight", "two", "type", "umbrella", "uncle", "uncut", "under", "undo",
    "undoing", "unfold", "uniform", "union", "unit", "universe", "unknown", "unless", "unlimited", "unpacked", "unsent", "unsigned",
    "until", "untouched", "untrusted", "unusable", "unused", "usage", "use", "used", "user", "vacation", "valid", "validation", "valley",
    "value", "van", "vanilla", "variable", "vary", "vector", "vegetable", "vehicle", "velvet", "verdict", "version", "very", "via",
    "victim", "victory", "view", "village", "violence", "violin", "virtue", "vision", "visitor", "vocabulary", "volume", "vote", "voyage",
    "wagon", "wait", "waiting", "wander", "war", "warning", "was", "watch", "water", "way", "ways", "weakness", "wealth", "weapon",
    "weather", "web", "wedding", "weekend", "weight", "well", "went", "were", "wet", "whale", "what", "whatever", "wheel", "when", "where",
    "whether", "which", "while", "whisper", "who", "whole", "whom", "whose", "why", "widow", "wilderness", "will", "win", "window",
    "winner", "winter", "wipe", "wisdom", "with", "without", "witness", "wizard", "won", "wonder", "wonderful", "word", "work", "worked",
    "worker", "works", "workshop", "world", "worship", "would", "write", "writer", "writing", "written", "wrong", "wrote", "year", "yellow",
    "yes", "yesterday", "yet", "you", "young", "your", "yours", "zebra", "zoo",
};
const size_t lexicon_words_count = ARRAY_LEN(lexicon_words);

const char *a_name(struct maker *m)
{
    return lexicon_names[draw(m, 0, (int)lexicon_names_count - 1)];
}

/* Beginnings, middles and ends as English words have them: what comes out may or may not be one. */
static void make_up(struct maker *m, int min, int max, char out[24])
{
    static const char *const heads[] = {"b",  "br", "c",  "ch", "cl", "cr", "d",  "dr", "f",  "fl", "g",  "gl", "gr", "h",  "j",    "k",   "l",   "m",   "n",  "p",
                                        "ph", "pl", "pr", "qu", "r",  "s",  "sc", "sh", "sl", "sp", "st", "str", "t", "th", "tr",   "v",   "w",   "un",  "re", "in"};
    static const char *const vowels[] = {"a", "e", "i", "o", "u", "a", "e", "i", "o", "ea", "ou", "io", "ee", "y"};
    static const char *const inner[] = {"b", "c", "d", "g", "l", "m", "n", "p", "r", "s", "t", "v", "ll", "nd", "nt", "rt", "st", "ss", "ct", "mb", "rm", "ng", "x", "z"};
    static const char *const tails[] = {"n", "r", "s", "t", "l", "d", "m", "ck", "sh", "ble", "ed", "er", "ing", "ish", "al", "ous", "ity", "ic", "ant", "ly", "ness", "ism"};
    size_t len;
    do {
        len = (size_t)snprintf(out, 24, "%s%s", PICK(m, heads), PICK(m, vowels));
        while ((int)len < max - 3 && chance(m, 75)) len += (size_t)snprintf(out + len, 24 - len, "%s%s", PICK(m, inner), PICK(m, vowels));
        len += (size_t)snprintf(out + len, 24 - len, "%s", PICK(m, tails));
    } while ((int)len < min || (int)len > max);
}

void a_word(struct maker *m, int min, int max, bool made_up, char out[24])
{
    const char *w;
    if (made_up && max > 3) {
        make_up(m, min, max, out);
        return;
    }
    do w = lexicon_words[draw(m, 0, (int)lexicon_words_count - 1)];
    while ((int)strlen(w) < min || (int)strlen(w) > max);
    memcpy(out, w, strlen(w) + 1);
}
