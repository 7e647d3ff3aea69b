/* Looked at, and started where the library is preloaded; whether a call finds an NCCL is of no interest. */
int use(void);

int main(void)
{
    use();
    return 0;
}
