/* tokenizer.h - internal: a tokenizer from an opened GGUF file. The public part is in model.h. */
#ifndef PONDER_TOKENIZER_H
#define PONDER_TOKENIZER_H
#include "model/gguf.h"
#include "model/model.h"
/* g must outlive the tokenizer. ERR_FILE or ERR_UNSUPPORTED name the file and the key. */
int tokenizer_new(struct tokenizer **out, const struct gguf *g, struct err *e);
#endif
