/* hiermoe plan --offload: experts over CPU, link and GPU of a machine with too little GPU memory. */
#include "plan_offload.h"

#include "command.h"
#include "json_file.h"
#include "numbers.h"
#include "option_table.h"

#include <stdio.h>
#include <string.h>

static const char help[] =
    "usage: hiermoe plan --offload (--loads A,B,... | --routing trace:FILE) --cpu-ms A,B --gpu-ms A,B --stream-ms X\n"
    "                    [OPTIONS]\n"
    "Inference on one GPU that is too small for all experts: which are resident, which are streamed to it for a "
    "batch,\n"
    "and which the CPU computes, so that CPU, link and GPU work at the same time (the question of ScheInfer, arXiv\n"
    "2411.15715), beside what Fiddler (arXiv 2402.07033) would do.\n";

static int request_read(int argc, char **argv, hm_offload_request_t *request)
{
    const hm_option_t table[] = {
        {"offload", "", HM_OPTION_FLAG, &request->asked, 0, 0, NULL},
        {"help", "", HM_OPTION_FLAG, &request->help, 0, 0, NULL},
        {"loads", "A,B,...", HM_OPTION_TEXT, &request->loads, 0, 0,
         "tokens that chose each expert of a layer; residents are chosen for them"},
        {"routing", "R", HM_OPTION_TEXT, &request->routing, 0, 0,
         "trace:FILE: residents by the first half of a layer's tokens, the second half in batches"},
        {"resident", "N", HM_OPTION_WHOLE, &request->resident, 0, HM_PLAN_LOADS_MOST,
         "experts of a layer that fit in the GPU's memory (default 0)"},
        {"cpu-ms", "A,B", HM_OPTION_PAIR, request->cpu_ms, 0, 0, "an expert with n tokens takes the CPU A + B n ms"},
        {"gpu-ms", "A,B", HM_OPTION_PAIR, request->gpu_ms, 0, 0, "and the GPU A + B n ms"},
        {"stream-ms", "X", HM_OPTION_REAL, &request->stream_ms, 0, 0,
         "ms in which one expert's weights cross the link"},
        {"tokens", "A,B,...", HM_OPTION_TEXT, &request->tokens_text, 0, 0,
         "tokens of a batch: few for decode, many for prefill (trace; default 1,8,64,512)"},
        {"layer", "N", HM_OPTION_WHOLE, &request->layer, 0, 4095, "of the trace (default: all)"},
        {"json", "FILE", HM_OPTION_TEXT, &request->json_path, 0, 0,
         "write JSON to FILE as well; -: to standard output instead of the table"},
    };
    enum { COUNT = sizeof(table) / sizeof(table[0]) };
    *request = (hm_offload_request_t){.layer = -1, .cpu_ms = {-1, 0}, .gpu_ms = {-1, 0}, .stream_ms = -1};
    int rc = options_take(table, COUNT, &argc, argv);
    if (rc == 0 && request->help) {
        puts(help);
        options_help(table, COUNT);
        puts("\nExperts without tokens take no time, and are listed with the CPU's, where weights lie.");
    }
    return rc != 0 || request->help ? rc : options_end("offload", argc, argv);
}

static int request_complete(hm_offload_request_t *request, const hm_plan_loads_t *loads)
{
    const char *why, *text = request->tokens_text != NULL ? request->tokens_text : "1,8,64,512";
    if (request->cpu_ms[0] < 0) return command_fail("--offload: expected --cpu-ms A,B");
    if (request->gpu_ms[0] < 0) return command_fail("--offload: expected --gpu-ms A,B");
    if (request->stream_ms < 0) return command_fail("--offload: expected --stream-ms X");
    request->cost = (hm_shares_cost_t){request->cpu_ms[0], request->cpu_ms[1], request->gpu_ms[0], request->gpu_ms[1],
                                       request->stream_ms};
    if (loads->given != NULL && request->tokens_text != NULL)
        return command_fail("--tokens: expected --routing trace:FILE with it");
    request->batches = numbers_whole(text, HM_NUMBERS_LOAD_MOST, request->tokens, HM_OFFLOAD_BATCHES, &why);
    if (request->batches == 0) return command_fail("--tokens: \"%.40s\": %s", text, why);
    if (loads->given != NULL) return 0;
    for (int b = 0; b < request->batches; b++)
        if (request->tokens[b] < 1 || request->tokens[b] > loads->trace.tokens / 2)
            return command_fail("--tokens: %llu: expected 1 to %zu, half of a rank's tokens in the trace",
                                (unsigned long long)request->tokens[b], loads->trace.tokens / 2);
    return 0;
}

int plan_offload_main(int argc, char **argv)
{
    hm_offload_request_t request;
    hm_plan_loads_t loads;
    int rc = request_read(argc, argv, &request);
    if (rc != 0 || request.help) return rc;
    rc = plan_loads_read("--offload", request.loads, request.routing, &loads);
    if (rc != 0) return rc;
    rc = request_complete(&request, &loads);
    if (rc == 0) {
        json_t *root = json_object(), *offload = json_object();
        bool text = !json_file_alone(request.json_path);
        json_object_set_new(root, "offload", offload);
        rc = loads.given != NULL ? offload_list(&request, &loads, text, offload)
                                 : offload_trace(&request, &loads, text, offload);
        if (rc == 0 && request.json_path != NULL) rc = json_file_write(json_incref(root), request.json_path);
        json_decref(root);
    }
    plan_loads_free(&loads);
    return rc;
}
