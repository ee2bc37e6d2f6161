/* Windows has this library, and Rust's standard library asks it for random numbers. Wine has it since version 9. */

int __stdcall DllMainCRTStartup(void *instance, unsigned reason, void *reserved)
{
    return 1;
}

/* RtlGenRandom, of advapi32. */
unsigned char __stdcall SystemFunction036(void *buffer, unsigned long size);

__declspec(dllexport) int __stdcall ProcessPrng(unsigned char *buffer, unsigned long long size)
{
    return SystemFunction036(buffer, (unsigned long)size);
}
