#define _DEFAULT_SOURCE
#include "command_run.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/hiermoe_command_XXXXXX";

int command_folder_make(void **state)
{
    (void)state;
    return mkdtemp(folder) != NULL ? 0 : -1;
}

int command_folder_remove(void **state)
{
    (void)state;
    DIR *all = opendir(folder);
    if (all == NULL) return -1;
    for (struct dirent *entry; (entry = readdir(all)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) unlinkat(dirfd(all), entry->d_name, 0);
    closedir(all);
    return rmdir(folder);
}

const char *command_folder(void)
{
    return folder;
}

int command_run(const char *arguments, char *text, size_t size)
{
    char line[4096];
    snprintf(line, sizeof(line), "cd %s && timeout 900 %s %s 2>&1", folder, HM_COMMAND, arguments);
    FILE *pipe = popen(line, "r");
    assert_non_null(pipe);
    size_t length = fread(text, 1, size - 1, pipe);
    text[length] = '\0';
    int status = pclose(pipe);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

void command_refuses(const command_refusal_t *cases, size_t count)
{
    char text[16384];
    for (size_t i = 0; i < count; i++) {
        int status = command_run(cases[i].arguments, text, sizeof(text));
        if (status != 2 || strstr(text, cases[i].says) == NULL)
            fail_msg("hiermoe %s: status %d: %s", cases[i].arguments, status, text);
    }
}

void command_file_write(const char *name, const void *data, size_t size)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    fclose(file);
}

json_t *command_json(const char *arguments)
{
    char line[1024], text[65536];
    json_error_t error;
    snprintf(line, sizeof(line), "plan %s --json -", arguments);
    int status = command_run(line, text, sizeof(text));
    if (status != 0) fail_msg("%s: status %d: %s", line, status, text);
    json_t *root = json_loads(text, 0, &error);
    if (root == NULL) fail_msg("%s: line %d: %s", line, error.line, error.text);
    return root;
}

json_t *command_both(const char *options, char *text, size_t size)
{
    char line[1024], path[256];
    json_error_t error;
    snprintf(line, sizeof(line), "plan %s --json both.json", options);
    int status = command_run(line, text, size);
    if (status != 0) fail_msg("%s: status %d: %s", line, status, text);
    snprintf(path, sizeof(path), "%s/both.json", folder);
    json_t *root = json_load_file(path, 0, &error);
    if (root == NULL) fail_msg("%s: line %d: %s", line, error.line, error.text);
    return root;
}

double command_number(const json_t *root, const char *object, const char *key)
{
    const json_t *value = json_object_get(json_object_get(root, object), key);
    if (!json_is_number(value)) fail_msg("no number %s.%s", object, key);
    return json_number_value(value);
}

long command_whole(const json_t *root, const char *key)
{
    const json_t *value = json_object_get(root, key);
    if (!json_is_integer(value)) fail_msg("no whole number %s", key);
    return (long)json_integer_value(value);
}
