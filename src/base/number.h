/*
 * number.h - numbers as text, in the C locale whatever the program's is. Internal to base.
 */
#ifndef PONDER_BASE_NUMBER_H
#define PONDER_BASE_NUMBER_H

#include "base/base.h"

/* The whole of text as a decimal number: no blanks, no hexadecimal, never NaN or infinite. */
bool number_parse_real(const char *text, double *out);
bool number_parse_int(const char *text, int64_t *out);
/* The shortest text that number_parse_real reads back as v (finite). */
void number_format_real(double v, char out[32]);

#endif
