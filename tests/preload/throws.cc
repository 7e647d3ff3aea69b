// throws NAME: C++ exceptions before and after callers.c's all-to-alls. Prints whose unwinder throws them. Exit: 0
// every exception was caught and every frame on the way was left properly.
#include <cstdio>
#include <cstring>
#include <dlfcn.h>
#include <exception>
#include <stdexcept>
#include <thread>
#include <unwind.h>

extern "C" int callers_run(const char *name);

namespace {

thread_local int left;

struct frame_t {
    ~frame_t() { left++; }
};

__attribute__((noinline)) int dive(int depth)
{
    frame_t frame;
    if (depth == 0) throw std::runtime_error("at the bottom");
    if (depth % 10 != 0) return dive(depth - 1) + 1;
    try {
        return dive(depth - 1) + 1;
    } catch (const std::exception &) {
        throw;
    }
}

bool caught()
{
    left = 0;
    try {
        dive(50);
    } catch (const std::runtime_error &error) {
        return left == 51 && std::strcmp(error.what(), "at the bottom") == 0;
    }
    return false;
}

bool caught_elsewhere()
{
    std::exception_ptr carried;
    bool there = false;
    std::thread thread([&] {
        there = caught();
        try {
            dive(5);
        } catch (...) {
            carried = std::current_exception();
        }
    });
    thread.join();
    try {
        std::rethrow_exception(carried);
    } catch (const std::runtime_error &) {
        return there;
    }
    return false;
}

bool report(const char *when)
{
    Dl_info info = {};
    dladdr(dlsym(RTLD_DEFAULT, "_Unwind_RaiseException"), &info);
    bool thrown = caught() && caught_elsewhere();
    const char *file = info.dli_fname ? info.dli_fname : "nobody";
    const char *slash = std::strrchr(file, '/');
    std::printf("%s: thrown by %s, %s\n", when, slash ? slash + 1 : file, thrown ? "caught" : "LOST");
    return thrown;
}

} // namespace

int main(int argc, char **argv)
{
    if (argc != 2) return 2;
    bool before = report("before");
    int status = callers_run(argv[1]);
    return report("after") && before ? status : 1;
}
