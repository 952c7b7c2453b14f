/*
 * family.c - the table of model families, and how the family of a chat template is recognised.
 *
 * A template is recognised by words that only it holds, in the table `signs` from the special to the general; copies of a
 * published template with small edits keep those words. Nothing is executed, and nothing depends on the exact text.
 *
 * The texts here are the makers' where they published some (closing tags, Qwen's early-stop sentence, sampling values).
 */
#include "model/template.h"

#include <string.h>

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

/* ---- what most thinking models share ------------------------------------------------------------------------- */

#define THINK_TAGS .open = LIST("<think>"), .close = LIST("</think>")
/* Qwen's own words for an early stop; models trained on its data, or on R1's, know this tone. */
#define WRAP_QWEN     "\n\nConsidering the limited time by the user, I have to give the solution based on the thinking directly now."
#define WRAP_PLAIN    "\n\nMy time for thinking is over, so I will give the answer now based on what I have."
#define CLOSE_LINES   "\n</think>\n\n"
#define EMPTY_THOUGHT "<think>\n\n</think>\n\n"
#define KEPT_LINES    .thought_before = "<think>\n", .thought_after = CLOSE_LINES
/* Who begins another turn has ended this one: models that were not trained to think do it in the place of an answer, again and again. */
#define ENDS_CHATML .answer_end = LIST("<|im_end|>", "<|endoftext|>", "<|im_start|>")
#define AGAIN       "\nWait"

/* ---- models that were not trained to think ------------------------------------------------------------------- */

#define PROMPTED                                                                                                                           \
    .start = THOUGHT_PROMPTED, THINK_TAGS, .close_forced = CLOSE_LINES, .wrap_up = "\n\nTime is up. I will give the final answer now.",    \
    .wait = "\nWait, let me check this again.", .think_lead = "Let's think step by step.", .history_drops_thoughts = true,                 \
    .thought_key = "reasoning_content"

/* The same models with an adapter that was trained on thoughts; what is put into them is what it was trained with. */
#define TRAINED                                                                                                                            \
    .start = THOUGHT_PREFILLED, THINK_TAGS, .close_forced = CLOSE_LINES, .wrap_up = "\n\nTime is up. I will give the final answer now.",     \
    .wait = "\nWait, let me check this again.", ENDS_CHATML, .off_switch = true, .history_drops_thoughts = true,                             \
    .thought_key = "reasoning_content", SAMPLING(0.7, 0.9, 0, 0)

/* ---- the makers' sampling values ------------------------------------------------------------------------------ */

#define SAMPLING(t, p, k, m) .temp = (t), .top_p = (p), .top_k = (k), .min_p = (m)

#define FACTS(...)                                                                                                                         \
    .facts = &(const struct template_facts)                                                                                                \
    {                                                                                                                                      \
        __VA_ARGS__                                                                                                                        \
    }

#define DEEPSEEK_TOKENS .bos = "<｜begin▁of▁sentence｜>", .eos = "<｜end▁of▁sentence｜>"
#define DEEPSEEK                                                                                                                           \
    THINK_TAGS, .close_forced = CLOSE_LINES, .wrap_up = WRAP_QWEN, .wait = AGAIN,                                                          \
                .answer_end = LIST("<｜end▁of▁sentence｜>", "<｜User｜>"), .history_drops_thoughts = true,                                 \
                .thought_key = "reasoning_content", SAMPLING(0.6, 0.95, 0, 0), .render = render_deepseek

#define QWEN_THINKS                                                                                                                        \
    THINK_TAGS, .close_forced = CLOSE_LINES, .wrap_up = WRAP_QWEN, .wait = AGAIN, ENDS_CHATML, .history_drops_thoughts = true,             \
                .thought_key = "reasoning_content"

#define MINISTRAL_SYSTEM                                                                                                                   \
    "# HOW YOU SHOULD THINK AND ANSWER\n\n"                                                                                                \
    "First draft your thinking process (inner monologue) until you arrive at a response. Format your response using "                      \
    "Markdown, and use LaTeX for any mathematical equations. Write both your thoughts and the response in the same "                       \
    "language as the input.\n\n"                                                                                                           \
    "Your thinking process must follow the template below:[THINK]Your thoughts or/and draft, like working through an "                     \
    "exercise on scratch paper. Be as casual and as long as you want until you are confident to generate the response to "                 \
    "the user.[/THINK]Here, provide a self-contained response."

#define LLAMA PROMPTED, .answer_end = LIST("<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|start_header_id|>"), SAMPLING(0.6, 0.9, 0, 0), .render = render_llama3

static const struct family families[] = {
    /* Trained to think */
    {.name = "deepseek-r1-distill-qwen",
     .start = THOUGHT_PREFILLED,
     DEEPSEEK,
     .off_switch = true,
     FACTS(DEEPSEEK_TOKENS, .opening = "<think>\n", .opening_off = "<think>\n</think>", KEPT_LINES)},
    {.name = "deepseek-r1-distill-llama",
     .start = THOUGHT_PREFILLED,
     DEEPSEEK,
     FACTS(DEEPSEEK_TOKENS, .opening = "<think>\n", .opening_off = "<think>\n", .off_prefill = CLOSE_LINES, KEPT_LINES)},
    {.name = "deepseek-r1-distill-qwen-early",
     .start = THOUGHT_BY_MODEL,
     DEEPSEEK,
     FACTS(DEEPSEEK_TOKENS, .off_prefill = EMPTY_THOUGHT, KEPT_LINES)},
    {.name = "deepseek-r1",
     .start = THOUGHT_PREFILLED,
     DEEPSEEK,
     FACTS(DEEPSEEK_TOKENS, .opening = "<think>\n", .opening_off = "<think>\n", .off_prefill = CLOSE_LINES, .joins_systems = true,
           KEPT_LINES)},
    {.name = "deepseek-r1-0528",
     .start = THOUGHT_BY_MODEL,
     DEEPSEEK,
     FACTS(DEEPSEEK_TOKENS, .off_prefill = EMPTY_THOUGHT, .joins_systems = true, KEPT_LINES)},
    {.name = "qwen3",
     .start = THOUGHT_BY_MODEL,
     QWEN_THINKS,
     .off_switch = true,
     SAMPLING(0.6, 0.95, 20, 0),
     .render = render_qwen3,
     FACTS(.opening_off = EMPTY_THOUGHT, .needs_message = true, .block_in_last = true)},
    {.name = "qwen3-thinking",
     .start = THOUGHT_PREFILLED,
     QWEN_THINKS,
     SAMPLING(0.6, 0.95, 20, 0),
     .render = render_qwen3,
     FACTS(.opening = "<think>\n", .opening_off = "<think>\n", .off_prefill = CLOSE_LINES, .needs_message = true, .block_in_last = true)},
    {.name = "qwen3.5",
     .start = THOUGHT_PREFILLED,
     QWEN_THINKS,
     .off_switch = true,
     SAMPLING(0.6, 0.95, 20, 0),
     .render = render_qwen35,
     FACTS(.opening = "<think>\n", .opening_off = EMPTY_THOUGHT, .needs_message = true)},
    {.name = "qwq",
     .start = THOUGHT_PREFILLED,
     QWEN_THINKS,
     .off_switch = true,
     SAMPLING(0.6, 0.95, 40, 0),
     .render = render_chatml,
     FACTS(.opening = "<think>\n", .opening_off = "<think>\n</think>", .needs_message = true, .cuts_inline = true, KEPT_LINES)},
    {.name = "qwq-first",
     .start = THOUGHT_PREFILLED,
     QWEN_THINKS,
     SAMPLING(0.6, 0.95, 40, 0),
     .render = render_chatml,
     FACTS(.opening = "<think>\n", .opening_off = "<think>\n", .off_prefill = CLOSE_LINES, .needs_message = true, .cuts_inline = true,
           KEPT_LINES)},
    {.name = "minicpm5",
     .start = THOUGHT_PREFILLED,
     QWEN_THINKS,
     .off_switch = true,
     SAMPLING(0.7, 0.95, 20, 0),
     .render = render_qwen3,
     FACTS(.opening = "<think>\n", .opening_off = EMPTY_THOUGHT, .needs_message = true)},
    {.name = "smollm2-think",
     TRAINED,
     .render = render_chatml,
     FACTS(.system = "You are a helpful AI assistant named SmolLM, trained by Hugging Face", .opening = "<think>\n", .opening_off = EMPTY_THOUGHT, KEPT_LINES)},
    {.name = "qwen2.5-think",
     TRAINED,
     .render = render_chatml,
     FACTS(.system = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.", .opening = "<think>\n", .opening_off = EMPTY_THOUGHT, .needs_message = true, KEPT_LINES)},
    {.name = "smollm3",
     .start = THOUGHT_BY_MODEL,
     THINK_TAGS,
     .close_forced = "\n</think>\n",
     .wrap_up = WRAP_PLAIN,
     .wait = AGAIN,
     ENDS_CHATML,
     .off_switch = true,
     .history_drops_thoughts = true,
     .thought_key = "reasoning_content",
     SAMPLING(0.6, 0.95, 0, 0),
     .render = render_smollm3,
     FACTS(.opening_off = "<think>\n\n</think>\n", .needs_message = true, .thought_before = "<think>\n", .thought_after = "\n</think>\n")},
    {.name = "smollm3-dated",
     .start = THOUGHT_BY_MODEL,
     THINK_TAGS,
     .close_forced = "\n</think>\n",
     .wrap_up = WRAP_PLAIN,
     .wait = AGAIN,
     ENDS_CHATML,
     .off_switch = true,
     .history_drops_thoughts = true,
     .thought_key = "reasoning_content",
     SAMPLING(0.6, 0.95, 0, 0),
     .render = render_smollm3,
     FACTS(.opening_off = "<think>\n\n</think>\n", .needs_message = true, .prints_date = true, .thought_before = "<think>\n",
           .thought_after = "\n</think>\n")},
    {.name = "lfm2.5",
     .start = THOUGHT_BY_MODEL,
     THINK_TAGS,
     .close_forced = "</think>",
     .wrap_up = WRAP_PLAIN,
     .wait = AGAIN,
     ENDS_CHATML,
     .history_drops_thoughts = true,
     .thought_key = "thinking",
     SAMPLING(0.1, 1.0, 50, 0),
     .render = render_lfm25,
     FACTS(.bos = "<|startoftext|>", .off_prefill = "<think></think>", .needs_message = true, .skips_empty_system = true,
           .thought_before = "<think>", .thought_after = "</think>")},
    {.name = "lfm2.5-preserve",
     .start = THOUGHT_BY_MODEL,
     THINK_TAGS,
     .close_forced = "</think>",
     .wrap_up = WRAP_PLAIN,
     .wait = AGAIN,
     ENDS_CHATML,
     .history_drops_thoughts = true,
     .thought_key = "thinking",
     SAMPLING(0.1, 1.0, 50, 0),
     .render = render_lfm25_preserve,
     FACTS(.bos = "<|startoftext|>", .off_prefill = "<think></think>", .needs_message = true, .skips_empty_system = true)},
    {.name = "gpt-oss",
     .start = THOUGHT_BY_MODEL,
     .open = LIST("<|channel|>analysis<|message|>"),
     .close = LIST("<|end|><|start|>assistant<|channel|>final<|message|>", "<|start|>assistant<|channel|>final<|message|>",
                   "<|channel|>final<|message|>"),
     .close_forced = "<|end|><|start|>assistant<|channel|>final<|message|>",
     .wrap_up = WRAP_PLAIN,
     .wait = AGAIN,
     .answer_end = LIST("<|return|>", "<|call|>"),
     .history_drops_thoughts = true,
     .thought_key = "thinking",
     SAMPLING(1.0, 1.0, 0, 0),
     .render = render_harmony,
     FACTS(.off_prefill = "<|channel|>final<|message|>", .needs_message = true)},
    {.name = "ministral-3-reasoning",
     .start = THOUGHT_BY_MODEL,
     .open = LIST("[THINK]"),
     .close = LIST("[/THINK]"),
     .close_forced = "[/THINK]",
     .wrap_up = WRAP_PLAIN,
     .wait = AGAIN,
     .answer_end = LIST("</s>"),
     .history_drops_thoughts = true,
     .thought_key = "thinking",
     SAMPLING(0.7, 0.95, 0, 0),
     .render = render_ministral,
     FACTS(.bos = "<s>", .eos = "</s>", .system = MINISTRAL_SYSTEM, .off_prefill = "[THINK][/THINK]", .needs_message = true,
           .alternates = true, .no_empty_reply = true, .thought_before = "[THINK]", .thought_after = "[/THINK]")},
    {.name = "granite-3.3",
     .start = THOUGHT_BY_MODEL,
     .open = LIST("<think>", "Here is my thought process:", "Here's my thought process:"),
     .close = LIST("</think>", "Here is my response:", "Here's my response:"),
     .close_forced = "</think>\n<response>",
     .answer_open = LIST("<response>"),
     .answer_close = LIST("</response>"),
     .wrap_up = WRAP_PLAIN,
     .wait = AGAIN,
     .answer_end = LIST("<|end_of_text|>", "<|start_of_role|>"),
     .off_switch = true,
     .history_drops_thoughts = true,
     .thought_key = "reasoning_content",
     SAMPLING(0.6, 0.95, 0, 0),
     .render = render_granite,
     FACTS(.needs_message = true, .thought_before = "<think>", .thought_after = "</think>\n")},
    {.name = "glm-4.6",
     .start = THOUGHT_BY_MODEL,
     THINK_TAGS,
     .close_forced = "</think>\n",
     .wrap_up = WRAP_PLAIN,
     .wait = AGAIN,
     .answer_end = LIST("<|user|>", "<|observation|>", "<|endoftext|>"),
     .off_switch = true,
     .history_drops_thoughts = true,
     .thought_key = "reasoning_content",
     SAMPLING(1.0, 0.95, 40, 0),
     .render = render_glm,
     FACTS(.opening_off = "\n<think></think>")},
    {.name = "seed-oss",
     .start = THOUGHT_BY_MODEL,
     .open = LIST("<seed:think>"),
     .close = LIST("</seed:think>"),
     .close_forced = "</seed:think>\n",
     .wrap_up = WRAP_PLAIN,
     .wait = AGAIN,
     .answer_end = LIST("<seed:eos>", "<seed:bos>"),
     .thought_key = "reasoning_content",
     SAMPLING(1.1, 0.95, 0, 0),
     .render = render_seed,
     FACTS(.eos = "<seed:eos>", .needs_message = true,
           .off_prefill = "<seed:think>\n<seed:cot_budget_reflect>The current thinking budget is 0, so I will directly start answering the "
                          "question.</seed:cot_budget_reflect>\n</seed:think>")},

    /* Not trained to think */
    {.name = "smollm2",
     PROMPTED,
     ENDS_CHATML,
     SAMPLING(0.7, 0.9, 0, 0),
     .render = render_chatml,
     FACTS(.system = "You are a helpful AI assistant named SmolLM, trained by Hugging Face", KEPT_LINES)},
    {.name = "qwen2.5",
     PROMPTED,
     ENDS_CHATML,
     SAMPLING(0.7, 0.8, 20, 0),
     .render = render_chatml,
     FACTS(.system = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.", .needs_message = true, KEPT_LINES)},
    {.name = "qwen2.5-math",
     PROMPTED,
     ENDS_CHATML,
     SAMPLING(0.7, 0.8, 20, 0),
     .render = render_chatml,
     FACTS(.system = "Please reason step by step, and put your final answer within \\boxed{}.", .needs_message = true, KEPT_LINES)},
    {.name = "qwen2",
     PROMPTED,
     ENDS_CHATML,
     SAMPLING(0.7, 0.8, 20, 0),
     .render = render_chatml,
     FACTS(.system = "You are a helpful assistant.", KEPT_LINES)},
    {.name = "qwen3-instruct",
     PROMPTED,
     ENDS_CHATML,
     SAMPLING(0.7, 0.8, 20, 0),
     .render = render_chatml,
     FACTS(.needs_message = true, KEPT_LINES)},
    {.name = "lfm2",
     PROMPTED,
     ENDS_CHATML,
     SAMPLING(0.3, 1.0, 0, 0.15),
     .render = render_chatml,
     FACTS(.bos = "<|startoftext|>", .needs_message = true, .skips_empty_system = true, KEPT_LINES)},
    {.name = "llama-3.2", LLAMA, FACTS(.bos = "<|begin_of_text|>", .needs_message = true, .prints_date = true, KEPT_LINES)},
    {.name = "llama-3.1",
     LLAMA,
     FACTS(.bos = "<|begin_of_text|>", .needs_message = true, .prints_date = true, .fixed_date = "26 Jul 2024", KEPT_LINES)},
    {.name = "llama-3.1-july",
     LLAMA,
     FACTS(.bos = "<|begin_of_text|>", .needs_message = true, .prints_date = true, .fixed_date = "26 July 2024", .untrimmed = true,
           KEPT_LINES)},
    {.name = "llama-3", LLAMA, FACTS(.bos = "<|begin_of_text|>", KEPT_LINES)},
    {.name = "gemma-2",
     PROMPTED,
     .answer_end = LIST("<end_of_turn>", "<eos>", "<start_of_turn>"),
     SAMPLING(0.7, 0.95, 64, 0),
     .render = render_gemma,
     FACTS(.bos = "<bos>", .needs_message = true, .alternates = true, .system_in_user = true, KEPT_LINES)},
    {.name = "gemma-3",
     PROMPTED,
     .answer_end = LIST("<end_of_turn>", "<eos>", "<start_of_turn>"),
     SAMPLING(1.0, 0.95, 64, 0),
     .render = render_gemma,
     FACTS(.bos = "<bos>", .needs_message = true, .alternates = true, KEPT_LINES)},
    {.name = "phi-3.5",
     PROMPTED,
     .answer_end = LIST("<|end|>", "<|endoftext|>", "<|user|>"),
     SAMPLING(0.6, 0.95, 0, 0),
     .render = render_phi3,
     FACTS(.eos = "<|endoftext|>", .skips_empty_system = true, KEPT_LINES)},
    {.name = "phi-3",
     PROMPTED,
     .answer_end = LIST("<|end|>", "<|endoftext|>", "<|user|>"),
     SAMPLING(0.6, 0.95, 0, 0),
     .render = render_phi3,
     FACTS(.eos = "<|endoftext|>", KEPT_LINES)},
    {.name = "mistral-nemo",
     PROMPTED,
     .answer_end = LIST("</s>"),
     SAMPLING(0.3, 0.95, 0, 0),
     .render = render_mistral,
     FACTS(.bos = "<s>", .eos = "</s>", .needs_message = true, .alternates = true, KEPT_LINES)},
    {.name = "chatml", PROMPTED, ENDS_CHATML, SAMPLING(0.7, 0.9, 0, 0), .render = render_chatml, FACTS(KEPT_LINES)},
};

/* ---- recognition --------------------------------------------------------------------------------------------- */

#define SIGNS_MAX 12

/* Words a template of the family has, and words it has not. In them a newline stands for one or for the two characters \n,
 * and " for either quote: copies differ in both. */
struct sign {
    const char *family;
    const char *has[SIGNS_MAX];
    const char *lacks[SIGNS_MAX];
};

static const struct sign signs[] = {
    {"gpt-oss", {"<|channel|>analysis<|message|>", "<|start|>assistant"}, {NULL}},
    {"ministral-3-reasoning", {"[THINK]", "[SYSTEM_PROMPT]", "[INST]"}, {NULL}},
    {"seed-oss", {"<seed:bos>", "<seed:think>"}, {NULL}},
    {"glm-4.6", {"[gMASK]<sop>", "/nothink", "<think></think>"}, {NULL}},
    {"deepseek-r1", {"<｜User｜>", "<｜Assistant｜><think>", "is_first_sp"}, {"thinking is defined"}},
    {"deepseek-r1-0528", {"<｜User｜>", "<｜Assistant｜>", "is_first_sp", "</think>"}, {"thinking is defined", "<think>"}},
    {"deepseek-r1-distill-qwen", {"<｜User｜>", "<｜Assistant｜><think>", "enable_thinking"}, {"is_first_sp"}},
    {"deepseek-r1-distill-llama", {"<｜User｜>", "<｜Assistant｜><think>"}, {"is_first_sp", "thinking is defined"}},
    {"deepseek-r1-distill-qwen-early", {"<｜User｜>", "<｜Assistant｜>", "</think>"}, {"is_first_sp", "thinking is defined", "<think>"}},
    {"granite-3.3", {"<|start_of_role|>", "<think></think>", "<response></response>"}, {NULL}},
    {"minicpm5", {"<|im_start|>", "tool_def_sep", "enable_thinking"}, {NULL}},
    {"smollm3-dated", {"<|im_start|>", "## Custom Instructions", "Reasoning Mode: ", "Today Date: "}, {NULL}},
    {"smollm3", {"<|im_start|>", "## Custom Instructions", "Reasoning Mode: "}, {NULL}},
    {"qwen3.5", {"<|im_start|>", "render_content", "last_query_index", "<think>"}, {NULL}},
    {"qwen3-thinking",
     {"<|im_start|>", "reasoning_content", "last_query_index", "<|im_start|>assistant\n<think>\n\""},
     {"enable_thinking"}},
    {"qwen3", {"<|im_start|>", "reasoning_content", "last_query_index", "<think>", "enable_thinking"}, {"bos_token"}},
    {"qwen3-instruct", {"<|im_start|>", "reasoning_content", "last_query_index", "<think>"}, {"bos_token"}},
    {"qwq", {"<|im_start|>assistant\n<think>\n\"", "</think>", "enable_thinking"}, {"reasoning_content", "bos_token", "You are Qwen"}},
    {"qwq-first", {"<|im_start|>assistant\n<think>\n\"", "</think>"}, {"reasoning_content", "bos_token", "You are Qwen"}},
    {"lfm2.5", {"<|im_start|>", "keep_past_thinking", "bos_token"}, {NULL}},
    {"lfm2.5-preserve", {"<|im_start|>", "preserve_thinking", "message.thinking", "bos_token"}, {"reasoning_content", "raise_exception"}},
    {"lfm2", {"<|im_start|>", "<|tool_list_start|>", "bos_token"}, {"<think>", "raise_exception"}},
    {"smollm2", {"<|im_start|>", "You are a helpful AI assistant named SmolLM, trained by Hugging Face"}, {"<think>", "raise_exception"}},
    {"qwen2.5-math", {"<|im_start|>", "Please reason step by step, and put your final answer within"}, {"<think>", "raise_exception"}},
    {"qwen2.5", {"<|im_start|>", "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."}, {"<think>", "raise_exception"}},
    {"qwen2", {"<|im_start|>system\nYou are a helpful assistant.<|im_end|>"}, {"<think>", "raise_exception", "trim"}},
    {"qwen3-instruct",
     {"<|im_start|>", "<tool_call>", "messages[0].role == \"system\"", "message.content is string"},
     {"<think>", "reasoning_content", "raise_exception", "bos_token", "You are Qwen", "vision", "trim", "strip"}},
    {"llama-3.2", {"<|start_header_id|>", "Cutting Knowledge Date: December 2023", "strftime_now"}, {"<think>"}},
    {"llama-3.1", {"<|start_header_id|>", "Cutting Knowledge Date: December 2023", "26 Jul 2024"}, {"<think>"}},
    {"llama-3.1-july", {"<|start_header_id|>", "Cutting Knowledge Date: December 2023", "26 July 2024"}, {"<think>", "trim"}},
    {"llama-3",
     {"<|start_header_id|>", "<|eot_id|>", "bos_token", "trim"},
     {"Cutting Knowledge", "think", "raise_exception", "tool", "You are", "system"}},
    {"gemma-3", {"<start_of_turn>", "first_user_prefix"}, {"think"}},
    {"gemma-2", {"<start_of_turn>", "System role not supported"}, {"think"}},
    {"phi-3.5", {"<|user|>\n", "<|assistant|>\n", "<|end|>\n", "and message[\"content\"]"}, {"think", "raise_exception", "trim"}},
    {"phi-3", {"<|system|>\n", "<|user|>\n", "<|assistant|>\n", "<|end|>\n"}, {"think", "raise_exception", "trim"}},
    {"mistral-nemo", {"[AVAILABLE_TOOLS]", "\"[INST]\" + system_message", "\"[INST]\" + message"}, {"[SYSTEM_PROMPT]", "[THINK]"}},
    {"chatml",
     {"<|im_start|>", "<|im_end|>", "role", "content"},
     {"think", "raise_exception", "bos_token", "trim", "strip", "tool", "You are", "<|im_sep|>", "loop.first", "image", "default",
      "system_"}},
};

/* Bytes of text at p that one character of a sign matches; 0 for none. */
static size_t sign_char(const char *p, size_t n, char c)
{
    if (c == '\n' && n >= 2 && p[0] == '\\' && p[1] == 'n') return 2;
    if (c == '"') return *p == '"' || *p == '\'';
    return *p == c;
}

static bool sign_found(const char *text, size_t n, const char *word)
{
    for (size_t i = 0; i < n; i++) {
        size_t at = i;
        const char *w = word;
        for (; *w && at < n; w++) {
            size_t used = sign_char(text + at, n - at, *w);
            if (!used) break;
            at += used;
        }
        if (!*w) return true;
    }
    return false;
}

static bool sign_fits(const struct sign *s, const char *text, size_t n)
{
    for (size_t i = 0; i < SIGNS_MAX && s->has[i]; i++)
        if (!sign_found(text, n, s->has[i])) return false;
    for (size_t i = 0; i < SIGNS_MAX && s->lacks[i]; i++)
        if (sign_found(text, n, s->lacks[i])) return false;
    return true;
}

const struct family *family_at(size_t i)
{
    return i < ARRAY_LEN(families) ? &families[i] : NULL;
}

const struct family *family_by_name(const char *name)
{
    for (size_t i = 0; name && i < ARRAY_LEN(families); i++)
        if (!strcmp(families[i].name, name)) return &families[i];
    return NULL;
}

const struct family *family_trained(const struct family *f)
{
    char name[64];
    snprintf(name, sizeof name, "%s-think", f->name);
    const struct family *trained = f->start == THOUGHT_PROMPTED ? family_by_name(name) : NULL;
    return trained ? trained : f;
}

const struct family *family_of_template(const char *text, size_t n, bool *recognised)
{
    const struct sign *s = NULL;
    for (size_t i = 0; text && !s && i < ARRAY_LEN(signs); i++)
        if (sign_fits(&signs[i], text, n)) s = &signs[i];
    if (recognised) *recognised = s != NULL;
    return family_by_name(s ? s->family : "chatml");
}
