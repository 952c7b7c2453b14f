/*
 * theme_colour.c - colours on terminals that have fewer of them.
 *
 * 256 colours: the nearest of the 6x6x6 cube and the grey ramp; the first 16 are left alone, as every user has them differently.
 * 16 colours: the nearest of the usual xterm values. 8 colours: the same without the bright half, which becomes bold.
 */
#include "ui/term.h"

#include <stdlib.h>

static const uint8_t base16[16][3] = {
    {0, 0, 0},       {205, 0, 0}, {0, 205, 0}, {205, 205, 0}, {0, 0, 238},   {205, 0, 205}, {0, 205, 205}, {229, 229, 229},
    {127, 127, 127}, {255, 0, 0}, {0, 255, 0}, {255, 255, 0}, {92, 92, 255}, {255, 0, 255}, {0, 255, 255}, {255, 255, 255},
};
static const uint8_t cube[6] = {0, 95, 135, 175, 215, 255};

/* A weighted square distance that follows the eye better than plain RGB and needs no floating point. */
static long distance(int r1, int g1, int b1, int r2, int g2, int b2)
{
    long mean = (r1 + r2) / 2, r = r1 - r2, g = g1 - g2, b = b1 - b2;
    return (((512 + mean) * r * r) >> 8) + 4 * g * g + (((767 - mean) * b * b) >> 8);
}

static int nearest_step(int v)
{
    int best = 0;
    for (int i = 1; i < 6; i++)
        if (abs(cube[i] - v) < abs(cube[best] - v)) best = i;
    return best;
}

int colour_to_256(struct colour c)
{
    if (c.index < 256) return c.index;
    int r = nearest_step(c.r), g = nearest_step(c.g), b = nearest_step(c.b);
    int grey = (c.r + c.g + c.b) / 3, step = grey < 8 ? 0 : (grey - 3) / 10;
    if (step > 23) step = 23;
    int level = 8 + 10 * step;
    long by_cube = distance(c.r, c.g, c.b, cube[r], cube[g], cube[b]);
    long by_grey = distance(c.r, c.g, c.b, level, level, level);
    return by_grey < by_cube ? 232 + step : 16 + 36 * r + 6 * g + b;
}

static void to_rgb(struct colour c, int rgb[3])
{
    if (c.index < 0) c.index = 7;
    if (c.index < 16) {
        for (int i = 0; i < 3; i++) rgb[i] = base16[c.index][i];
    } else if (c.index < 232) {
        int k = c.index - 16;
        rgb[0] = cube[k / 36];
        rgb[1] = cube[k / 6 % 6];
        rgb[2] = cube[k % 6];
    } else if (c.index < 256) {
        rgb[0] = rgb[1] = rgb[2] = 8 + 10 * (c.index - 232);
    } else {
        rgb[0] = c.r;
        rgb[1] = c.g;
        rgb[2] = c.b;
    }
}

int colour_to_16(struct colour c)
{
    if (c.index < 16) return c.index;
    int rgb[3], best = 0;
    to_rgb(c, rgb);
    long least = -1;
    for (int i = 0; i < 16; i++) {
        long d = distance(rgb[0], rgb[1], rgb[2], base16[i][0], base16[i][1], base16[i][2]);
        if (least >= 0 && d >= least) continue;
        least = d;
        best = i;
    }
    return best;
}

int colour_to_direct(struct colour c)
{
    if (c.index < 8) return c.index;
    int rgb[3];
    to_rgb(c, rgb);
    int value = rgb[0] << 16 | rgb[1] << 8 | rgb[2];
    return value < 8 ? 8 : value; /* the first numbers mean the palette: black with a trace of blue instead */
}

static int luminance(struct colour c)
{
    int rgb[3];
    to_rgb(c, rgb);
    return (2 * rgb[0] + 5 * rgb[1] + rgb[2]) / 8;
}

void style_degrade(const struct style_def *d, int colours, int *fg, int *bg, unsigned *attrs)
{
    *attrs = d->attrs;
    bool many = colours >= 256;
    *fg = many ? colour_to_256(d->fg) : colour_to_16(d->fg);
    *bg = many ? colour_to_256(d->bg) : colour_to_16(d->bg);
    if (!many && colours < 16) {
        if (*fg == 8) { /* dark grey: black that is bold is no grey everywhere, dim white is readable at worst */
            *fg = 7;
            *attrs |= ATTR_DIM;
        } else if (*fg > 8) {
            *fg -= 8;
            *attrs |= ATTR_BOLD;
        }
        if (*bg >= 8) *bg = *bg == 8 ? 0 : *bg - 8;
    }
    bool same = d->fg.index == d->bg.index && d->fg.r == d->bg.r && d->fg.g == d->bg.g && d->fg.b == d->bg.b;
    if (*fg != *bg || *fg < 0 || same) return;
    bool light = luminance(d->bg) > 127;
    *fg = many ? (light ? 16 : 231) : (light ? 0 : 7);
    if (*fg == *bg) *fg = light ? 7 : 0;
}
