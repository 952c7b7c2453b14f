/*
 * examples.c - the worked examples of the few-shot mode, put before the conversation as exchanges of their own.
 *
 * Three kinds of question, so that the form is learnt and not the subject; short, since every prompt carries them. They are numbered by
 * EXAMPLES_NAME, which the record keeps: change a text and the number changes.
 */
#include "model/examples.h"
#include "model/model.h"

const struct example examples[] = {
    {"A shelf holds 4 boxes with 6 pens each. Then 5 pens are taken away. How many pens are left?",
     "4 boxes of 6 pens are 4 * 6 = 24 pens. 5 of them are taken away: 24 - 5 = 19.", "The answer is 19."},
    {"Mia is older than Ben, and Ben is older than Tom. Who is the youngest?",
     "From the oldest to the youngest they are Mia, Ben, Tom. The last one is Tom.", "The answer is Tom."},
    {"A film begins at 14:50 and ends at 16:20. How long is it?",
     "From 14:50 to 15:50 it is 1 hour. From 15:50 to 16:20 it is 30 minutes. Together that is 1 hour and 30 minutes.",
     "The answer is 1 hour and 30 minutes."},
};
const size_t examples_count = ARRAY_LEN(examples);
