/* examples.h - worked examples for models that were not trained to think. Internal to src/model. */
#ifndef PONDER_EXAMPLES_H
#define PONDER_EXAMPLES_H

#include <stddef.h>

struct example {
    const char *question, *thought, *answer;
};
extern const struct example examples[];
extern const size_t examples_count;

#endif
