/* mutants.c -- the deliberate bug that is switched on, and the table of all. */
#include "base/mutant.h"
#include "tests/sim/sim.h"

enum dr_mutant dr_mutant = DR_MUTANT_NONE;

static const struct sim_mutant rows[] = {
#define MUTANT(NAME, rule, what) { #NAME, rule, what },
#include "base/mutants.def"
#undef MUTANT
};

uint32_t sim_mutants(void)
{
	return DR_MUTANT_MAX - 1;
}

const struct sim_mutant *sim_mutant(uint32_t i)
{
	return &rows[i];
}

void sim_mutant_switch(uint32_t i)
{
	dr_mutant = (enum dr_mutant)(i + 1);
}
