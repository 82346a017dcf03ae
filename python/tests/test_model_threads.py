"""20 threads of a program, each with its own context, over one model: right results, and no race that ThreadSanitizer sees."""

import subprocess
import threading

import numpy as np
import pytest

import repo_mlir as repo
from conftest import BUILD, GOLDEN, ROOT

HOST = r"""
#include "repo/Runtime/model.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
enum { THREADS = 20, PROMPT = 21, STEPS = 3 };
static repo_rt_model *model;
static repo_rt_pages *pages;
static int64_t vocabulary;
static float *wanted;
static int run(repo_rt_context *context, int paged, int number, float *logits) {
  int32_t tokens[PROMPT];
  for (int i = 0; i < PROMPT; ++i)
    tokens[i] = (int32_t)((i * 7 + number) % vocabulary);
  repo_rt_session *session;
  if (paged ? repo_rt_session_create_paged(context, pages, 1, &session) : repo_rt_session_create(context, model, 1, &session))
    return 1;
  int status = repo_rt_session_append(context, session, tokens, PROMPT, logits);
  for (int i = 0; i < STEPS && !status; ++i)
    status = repo_rt_session_append(context, session, tokens + i, 1, logits);
  repo_rt_session_free(session);
  return status;
}
static void *work(void *argument) {
  int number = *(int *)argument;
  repo_rt_context *context = repo_rt_context_create();
  repo_rt_set_num_threads(context, 1 + number % 2);
  float *logits = malloc(vocabulary * sizeof(float));
  int bad = run(context, number % 3 == 0, number, logits) ||
            memcmp(logits, wanted + number * vocabulary, vocabulary * sizeof(float));
  if (bad) fprintf(stderr, "thread %d: %s\n", number, repo_rt_last_error(context));
  free(logits);
  repo_rt_context_destroy(context);
  return bad ? argument : NULL;
}
int main(int argc, char **argv) {
  repo_rt_context *context = repo_rt_context_create();
  repo_rt_set_num_threads(context, 1);
  if (repo_rt_model_open(context, argv[1], argv[2], &model) || repo_rt_pages_create(context, model, THREADS * 64, &pages)) {
    fprintf(stderr, "%s\n", repo_rt_last_error(context));
    return 1;
  }
  vocabulary = repo_rt_model_get_info(model).vocabulary;
  wanted = malloc(THREADS * vocabulary * sizeof(float));
  for (int i = 0; i < THREADS; ++i)
    run(context, 0, i, wanted + i * vocabulary);
  pthread_t threads[THREADS];
  int numbers[THREADS], bad = 0;
  for (int i = 0; i < THREADS; ++i) {
    numbers[i] = i;
    pthread_create(&threads[i], NULL, work, &numbers[i]);
  }
  for (int i = 0; i < THREADS; ++i) {
    void *result;
    pthread_join(threads[i], &result);
    bad |= result != NULL;
  }
  bad |= repo_rt_pages_count_free(pages) != repo_rt_pages_count(pages);
  repo_rt_pages_free(pages);
  repo_rt_model_close(model);
  repo_rt_context_destroy(context);
  free(wanted);
  puts(bad ? "wrong" : "done");
  return bad;
}
"""


@pytest.mark.parametrize("sanitize", [None, "thread"])
def test_twenty_threads(golden_model, tmp_path, sanitize):
    name = "tiny-continuous"
    folder = golden_model(name, *([f"--sanitize={sanitize}"] if sanitize else []))
    (tmp_path / "main.c").write_text(HOST)
    subprocess.run(["clang-22", "-g", "-O1", "-pthread", *([f"-fsanitize={sanitize}"] if sanitize else []), f"-I{ROOT / 'include'}",
                    tmp_path / "main.c", f"-L{BUILD / 'lib'}", "-lrepo_rt", f"-Wl,-rpath,{BUILD / 'lib'}",
                    "-o", tmp_path / "main"], check=True)
    done = subprocess.run([tmp_path / "main", folder, GOLDEN / name], capture_output=True, text=True, timeout=250)
    if sanitize and "unexpected memory mapping" in done.stderr:
        pytest.skip("ThreadSanitizer does not run on this kernel")
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_threads_of_python(golden_model):
    name = "tiny-continuous"
    model = repo.load_model(golden_model(name), GOLDEN / name, threads=1)
    prompts = [np.arange(n, n + 30) % 60 for n in range(20)]
    wanted, wrong = [model.logits(prompt) for prompt in prompts], []

    def work(n):
        for _ in range(3):
            if not np.array_equal(model.logits(prompts[n]), wanted[n]):
                wrong.append(n)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
