/* codes.c -- libraft's codes in ours. */
#include "raft/internal.h"

enum dr_err dr_raft_err(int rv)
{
	switch (rv) {
	case 0:
		return DR_OK;
	case RAFT_NOTLEADER:
		return DR_E_NOT_LEADER;
	case RAFT_LEADERSHIPLOST:
	case RAFT_CANCELED:
		return DR_E_UNKNOWN;
	case RAFT_NOSPACE:
		return DR_E_NO_SPACE;
	case RAFT_CANTCHANGE:
	case RAFT_BUSY:
		return DR_E_BUSY;
	case RAFT_DUPLICATEID:
	case RAFT_DUPLICATEADDRESS:
	case RAFT_CANTBOOTSTRAP:
		return DR_E_EXISTS;
	case RAFT_BADID:
	case RAFT_NOTFOUND:
		return DR_E_NOT_FOUND;
	case RAFT_NOCONNECTION:
		return DR_E_UNREACHABLE;
	case RAFT_CORRUPT:
	case RAFT_MALFORMED:
		return DR_E_CORRUPT;
	default:
		return DR_E_IO;
	}
}
