/* inspect_gguf.c - `ponder inspect gguf`: the metadata and the tensors of a GGUF file. */
#include "cli/cli.h"
#include "model/model.h"

#include <string.h>

int cmd_inspect_gguf(int argc, char **argv)
{
    const char *model = NULL;
    bool json = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            json = true;
        else if (strcmp(argv[i], "-m") != 0 && strcmp(argv[i], "--model") != 0)
            return cli_usage("inspect", "gguf has no option \"%s\"", argv[i]);
        else if (i + 1 == argc)
            return cli_usage("inspect", "%s needs a value", argv[i]);
        else
            model = argv[++i];
    }
    if (!model) return cli_usage("inspect", "gguf needs -m MODEL");
    struct err e = {0};
    struct str path = STR_EMPTY;
    struct str text = STR_EMPTY;
    int rc = model_path_of(&path, model, &e);
    if (rc == ERR_OK) rc = model_list_gguf(&text, str_cstr(&path), json, &e);
    if (rc == ERR_OK) fwrite(str_cstr(&text), 1, text.len, stdout);
    str_release(&text);
    str_release(&path);
    return cli_finish(rc ? cli_fail(&e) : 0);
}
