/* Linked with a library whose constructor does everything. */
int main(void)
{
    return 0;
}
