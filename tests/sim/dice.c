/* dice.c -- chance that is the same everywhere: xorshift64* (Vigna, "An experimental exploration of Marsaglia's
 * xorshift generators, scrambled", 2016), one stream for each use, seeded by splitmix64. */
#include "tests/sim/sim.h"

struct sim_dice sim_dice(uint64_t seed, uint64_t stream)
{
	uint64_t z = seed * 0x9e3779b97f4a7c15u + stream * 0xd1b54a32d192ed03u + 0x2545f4914f6cdd1du;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	z ^= z >> 31;
	return (struct sim_dice){ .state = z != 0 ? z : 1 };
}

uint64_t sim_roll(struct sim_dice *d, uint64_t sides)
{
	uint64_t x = d->state;
	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	d->state = x;
	return sides == 0 ? 0 : ((x * 0x2545f4914f6cdd1du) >> 11) % sides;
}

bool sim_chance(struct sim_dice *d, uint32_t per_mille)
{
	return sim_roll(d, 1000) < per_mille;
}
