/* pool.c -- see pool.h.  Two lists under one lock: what waits for a thread, and what has ended and waits for the loop. */
#include "adapters/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

enum { STACK_BYTES = 512 << 10 };

struct list {
	struct dr_pool_job *head, **tail;
};

struct pool {
	uv_async_t ended;
	uint32_t users;             /* sessions, and jobs that are not done: of the loop's thread alone */
	pthread_mutex_t lock;
	pthread_cond_t wanted;
	struct list queue, finished;
	uint32_t queued, threads, idle;
	bool closing;
	pthread_cond_t gone;
};

static struct pool *pool;

static void list_init(struct list *l)
{
	l->head = NULL;
	l->tail = &l->head;
}

static void list_put(struct list *l, struct dr_pool_job *j)
{
	j->next = NULL;
	*l->tail = j;
	l->tail = &j->next;
}

static struct dr_pool_job *list_take(struct list *l)
{
	struct dr_pool_job *j = l->head;
	if (j == NULL)
		return NULL;
	l->head = j->next;
	if (l->head == NULL)
		l->tail = &l->head;
	return j;
}

/* The next job; NULL: the pool closes.  Locked. */
static struct dr_pool_job *next_job(struct pool *p)
{
	p->idle++;
	while (p->queue.head == NULL && !p->closing)
		(void)pthread_cond_wait(&p->wanted, &p->lock);
	p->idle--;
	struct dr_pool_job *j = list_take(&p->queue);
	if (j != NULL)
		p->queued--;
	return j;
}

static void *serve(void *arg)
{
	struct pool *p = arg;

	(void)pthread_mutex_lock(&p->lock);
	for (struct dr_pool_job *j = next_job(p); j != NULL; j = next_job(p)) {
		(void)pthread_mutex_unlock(&p->lock);
		j->work(j);
		(void)pthread_mutex_lock(&p->lock);
		list_put(&p->finished, j);
		(void)uv_async_send(&p->ended);
	}
	p->threads--;
	(void)pthread_cond_signal(&p->gone);
	(void)pthread_mutex_unlock(&p->lock);
	return NULL;
}

static void on_pool_closed(uv_handle_t *h)
{
	struct pool *p = h->data;

	(void)pthread_mutex_destroy(&p->lock);
	(void)pthread_cond_destroy(&p->wanted);
	(void)pthread_cond_destroy(&p->gone);
	dr_free(p);
}

/* Every job is done by now, so the threads wait for work and end at once. */
static void close_pool(struct pool *p)
{
	pool = NULL;
	(void)pthread_mutex_lock(&p->lock);
	p->closing = true;
	(void)pthread_cond_broadcast(&p->wanted);
	while (p->threads > 0)
		(void)pthread_cond_wait(&p->gone, &p->lock);
	(void)pthread_mutex_unlock(&p->lock);
	uv_close((uv_handle_t *)&p->ended, on_pool_closed);
}

static void release(struct pool *p)
{
	dr_assert(p->users > 0);
	if (--p->users == 0)
		close_pool(p);
}

static void on_ended(uv_async_t *a)
{
	struct pool *p = a->data;
	struct list ended;
	struct dr_pool_job *j;

	(void)pthread_mutex_lock(&p->lock);
	ended = p->finished;
	if (ended.head == NULL)
		list_init(&ended);
	list_init(&p->finished);
	(void)pthread_mutex_unlock(&p->lock);
	p->users++; /* done may be the end of the last one */
	while ((j = list_take(&ended)) != NULL) {
		j->done(j);
		p->users--;
	}
	release(p);
}

void dr_pool_join(uv_loop_t *loop)
{
	if (pool != NULL) {
		dr_assert(pool->ended.loop == loop);
		pool->users++;
		return;
	}
	pool = dr_xcalloc(sizeof(*pool));
	pool->users = 1;
	list_init(&pool->queue);
	list_init(&pool->finished);
	(void)pthread_mutex_init(&pool->lock, NULL);
	(void)pthread_cond_init(&pool->wanted, NULL);
	(void)pthread_cond_init(&pool->gone, NULL);
	dr_assert(uv_async_init(loop, &pool->ended, on_ended) == 0);
	pool->ended.data = pool;
}

void dr_pool_leave(void)
{
	dr_assert(pool != NULL);
	release(pool);
}

/* Signals are the loop's.  Locked. */
static bool start_thread(struct pool *p)
{
	pthread_attr_t small;
	pthread_t t;
	sigset_t all, before;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	(void)pthread_attr_init(&small);
	(void)pthread_attr_setstacksize(&small, STACK_BYTES);
	(void)pthread_attr_setdetachstate(&small, PTHREAD_CREATE_DETACHED);
	bool started = pthread_create(&t, &small, serve, p) == 0;
	(void)pthread_attr_destroy(&small);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	p->threads += started ? 1 : 0;
	return started;
}

enum dr_err dr_pool_submit(struct dr_pool_job *j, struct dr_error *e)
{
	struct pool *p = pool;
	enum dr_err rv = DR_OK;

	dr_assert(p != NULL);
	(void)pthread_mutex_lock(&p->lock);
	if (p->queued >= DR_POOL_QUEUE)
		rv = dr_fail(e, DR_E_FULL, "%d calls wait for a thread already", DR_POOL_QUEUE);
	else if (p->idle <= p->queued && p->threads < DR_POOL_THREADS && !start_thread(p) && p->threads == 0)
		rv = dr_fail(e, DR_E_UNKNOWN, "no thread could be started");
	if (rv == DR_OK) {
		list_put(&p->queue, j);
		p->queued++;
		p->users++;
		(void)pthread_cond_signal(&p->wanted);
	}
	(void)pthread_mutex_unlock(&p->lock);
	return rv;
}
