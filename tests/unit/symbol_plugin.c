/* Loaded by test_symbol: where a function lies that only the symbol table of the file names. */
typedef int function_t(int);

function_t *plugin_hidden(void);

__attribute__((noinline)) static int plugin_hidden_function(int value)
{
    __asm__ volatile("" : "+r"(value));
    return value;
}

__attribute__((noinline, alias("plugin_hidden_function"))) static function_t plugin_hidden_alias;

function_t *plugin_hidden(void)
{
    return plugin_hidden_alias;
}
