/* Loaded by test_symbol: where a function lies that only the symbol table of the file names, by two names. */
typedef int function_t(int);

#define HIDDEN visibility("hidden")

function_t *plugin_hidden(void);
int plugin_hidden_function(int value) __attribute__((HIDDEN));
int plugin_hidden_alias(int value) __attribute__((HIDDEN, alias("plugin_hidden_function")));

__attribute__((noinline)) int plugin_hidden_function(int value)
{
    __asm__ volatile("" : "+r"(value));
    return value;
}

function_t *plugin_hidden(void)
{
    return plugin_hidden_alias;
}
