/* main.c - the table of subcommands; nothing else. */
#include "cli/cli.h"

const struct command cli_commands[] = {
    {"chat", cmd_chat, "[--continue | --resume ID] [--theme NAME] [--plain] [options]", "talk to a model in the full-screen program (the default)"},
    {"ask", cmd_ask, "[options] [QUESTION] [-f FILE]... [--continue | --resume ID] [--vote N] [--json] [--no-thoughts] [--control PATH]",
     "one question; the answer on stdout, thoughts on stderr"},
    {"list", cmd_list, "[--limit N] [--json]", "the conversations kept, newest first"},
    {"show", cmd_show, "ID|mMESSAGE [--json]", "one conversation, or one message"},
    {"search", cmd_search, "WORDS [--in answers|thoughts|prompts] [--since D] [--until D] [--rating up|none|down] [--model M] [--tag T] [--ending E] [--limit N] [--json]", "find words in what was kept"},
    {"delete", cmd_delete, "ID [--json]", "delete a conversation for good"},
    {"rate", cmd_rate, "MESSAGE [--answer up|down|none] [--thought up|down|none] [--reason R]... [--tag T]... [--untag T]... [--comment TEXT] [--edit FILE]"
     " [--step N=good|neutral|bad|none]... | A --over B [--strength 1..3] | A --tie B | A --both-bad B | A --skip B | --undo",
     "rate a reply; a reason, comment or edit belongs to the part named before it, the answer by default"},
    {"export", cmd_export,
     "--format sft|sft-pc|dpo|kto|stepwise|reward|openai|openai-dpo|sharegpt|alpaca|llamafactory[-dpo|-kto]|axolotl[-dpo]|text|markdown|html|json"
     " [--reasoning field|inline|text|strip] [--rating up|none|down] [--reason R] [--tag T] [--model M] [--since D] [--until D] [--search WORDS]"
     " [--endings LIST|all] [--min-strength 1..3] [--pairs votes,edits,ratings] [--injected keep|drop|mask] [--with-say] [--bad-thoughts strip|drop|keep]"
     " [--weights up=W,none=W,edit=W] [--min-tokens N] [--max-tokens N] [-m MODEL | --template NAME] [--split 90,5,5] [--seed N] [--keep-duplicates]"
     " [--dry-run [--json]] -o FILE|FOLDER|-",
     "write fine-tuning data; a FILE ends in .jsonl, a FOLDER gets train, valid and test data, a manifest and a data card"},
    {"import", cmd_import, "FILE... [--dry-run] [--json]",
     "bring in conversations: ChatGPT and Claude archives, Open WebUI, llm's logs.db, ShareGPT, OpenAI messages, ponder's own json"},
    {"stats", cmd_stats, "[--json]", "counts and ratings by model, budget, ending and length of thought"},
    {"backup", cmd_backup, "FILE [--json]", "copy the record, also while it is in use"},
    {"check", cmd_check, "[--salvage] [--json]", "look for damage in the record; set a damaged one aside and save what can be read"},
    {"redact", cmd_redact, "TEXT [--regex] [-i] [--with TEXT] [--dry-run] [--json]", "take a text out of the whole record for good"},
    {"review", cmd_review, "[--search WORDS] [--model M] [--tag T] [--ending E] [--since D] [--until D] [--from-start] [--json]",
     "go through the replies that wait for a rating, keyboard only; goes on where it was left"},
    {"replay", cmd_replay, "MESSAGE [-m MODEL] [--json]", "write a reply again from its seed and the commands it was given, and compare"},
    {"models", cmd_models, "[--json]", "the models known and fetched"},
    {"info", cmd_info, "MODEL [--json]", "what a model file is"},
    {"pull", cmd_pull, "NAME [--quiet] [--if-missing]", "fetch a model of the catalogue and check it"},
    {"bench", cmd_bench, "-m MODEL [--threads T] [--pp N[,N]...] [--tg N[,N]...] [--depth D[,D]...] [--repeat R] [--kv f16|q8_0] [--profile] [--json]",
     "measure prefill and decode speed beside what this machine allows; --profile: where the time goes"},
    {"sweep", cmd_sweep, "FILE.jsonl [--budgets 0,64,256] [--votes 1,5] [--grader auto|number|boxed|text] [--limit N] [-o FILE.csv] [options of ask]",
     "accuracy, tokens and time for each budget over questions with known answers"},
    {"tasks", cmd_tasks, "list | verify [FILE] | [--family F[,F]...] [--level 1..3] [--count N] [--seed N] [--format sft|questions]"
     " [--half training|held-out|any] [--fast PERCENT] [--cut PERCENT] [--mix FILE.jsonl] [-o FILE.jsonl]",
     "exercises with exact answers and a line of thought, made from a seed; verify: judge replies to them"},
    {"eval", cmd_eval, "FILE.ini [-m MODEL] [--adapter FILE[:SCALE]] [--only base|adapter] [--count N] [--threads T] [--replies FILE.jsonl] [-o FILE.csv]",
     "what a model solves with and without an adapter, by family, budget and vote, and what the adapter does to ordinary text"},
    {"train", cmd_train,
     "sft|dpo|kto|grpo --base MODEL --data PATH -o ADAPTER.gguf [--init ADAPTER.gguf] [--rank N] [--alpha A] [--targets LIST] [--lr R] [--lowest PART]"
     " [--warmup PART|STEPS] [--decay D] [--clip N] [--epochs E | --steps N] [--batch TOKENS] [--at-once TOKENS] [--max-length TOKENS]"
     " [--thought-weight W] [--answer-weight W] [--cot step|few|off] [--beta B] [--sft W] [--good-weight W] [--bad-weight W] [--valid PATH]"
     " [--prompts N] [--group N] [--reply-max TOKENS] [--temp T] [--format-reward R] [--brevity R]"
     " [--memory MB] [--seed N] [--threads T] [--save-every SECONDS] [--log FILE|off] [--f32] [--f32-file] [--resume | --restart] | --plot LOG",
     "teach an adapter (LoRA) from what export writes, grpo by what replies to questions of tasks are worth; Ctrl-C saves, --resume goes on; --plot shows a log"},
    {"distill", cmd_distill,
     "--teacher MODEL --student MODEL --tasks all|FAMILY[,F]...|FILE.jsonl -o ADAPTER.gguf | --data FILE.jsonl [--adapter FILE[:SCALE]] [--teacher-cot step|few|off]"
     " [--level 1..3] [--count N] [--samples N] [--keep N] [--temp T] [--budget N] [--answer-max N] [--pairs FILE.jsonl] [--replies FILE] [--seed N] [--threads T]"
     " [--resume | --restart] [--init ADAPTER.gguf] [--rank N] [--alpha A] [--targets LIST] [--lr R] [--epochs E | --steps N] [--batch TOKENS] [--max-length TOKENS]"
     " [--valid PATH] [--cot step|few|off] [--log FILE|off]",
     "teach the student what the teacher (--adapter: the teacher's own) gets right: sample replies to training questions, judge them, keep short different right ones, train"},
    {"inspect", cmd_inspect, "tokenize | logits | prompt | gguf ...", "look inside, machine-readable"},
    {"doctor", cmd_doctor, "[--json]", "what this machine and installation offer"},
    {"completions", cmd_completions, "bash|zsh|fish", "completion for a shell, to be sourced or put where it looks"},
    {"man", cmd_man, "", "this program's manual page, ponder(1), as roff"},
    {"help", cmd_help, "[COMMAND]", "this text, or a command's own"},
    {NULL, NULL, NULL, NULL},
};

int main(int argc, char **argv)
{
    return cli_main(argc, argv);
}
