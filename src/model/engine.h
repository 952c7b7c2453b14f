/* engine.h - what a loaded model is made of. Internal to src/model. */
#ifndef PONDER_ENGINE_H
#define PONDER_ENGINE_H

#include "model/model.h"
#include "model/weights.h"

struct engine {
    struct gguf *file;
    struct tokenizer *tokenizer;
    struct weights w;
    struct model_info info;
};

#endif
