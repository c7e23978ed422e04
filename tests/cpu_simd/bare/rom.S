/* What an x86 machine finds when it is switched on. It goes to 64-bit mode, lets programs use the registers that the
   CPU has, reads the program from the first disk to the place that it was linked for, and calls its main().

   Memory is mapped as it is, by pages of 1 GB. The tables lie in the ROM, so they say already that the pages were
   used. There are no handlers of exceptions: the third of them in a row stops the machine. */

#define STACK 0x90000
#define CODE32 0x08
#define DATA 0x10
#define CODE64 0x18

    .text
    .code16
start:
    lgdtl %cs:gdt_at - start
    mov %cr0, %eax
    or $1, %eax
    mov %eax, %cr0
    ljmpl $CODE32, $protected

    .code32
protected:
    mov $DATA, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov $0x40620, %eax                  /* long addresses, SSE and its exceptions, XSAVE */
    mov %eax, %cr4
    mov $tables, %eax
    mov %eax, %cr3
    mov $0xc0000080, %ecx
    rdmsr
    or $0x100, %eax                     /* 64-bit mode, as soon as there is paging */
    wrmsr
    mov $0x80000033, %eax
    mov %eax, %cr0
    ljmp $CODE64, $long_mode

    .code64
long_mode:
    mov $0xd, %eax
    xor %ecx, %ecx
    cpuid
    and $0xe7, %eax                     /* x87, SSE, AVX and the three parts of AVX-512, where they are */
    xor %ecx, %ecx
    xor %edx, %edx
    xsetbv
    fninit

    cld
    mov $image, %edi
    xor %ebx, %ebx
read:                                   /* one sector of the disk: its number, the command, the words of it */
    mov $0x1f2, %edx
    mov $1, %al
    out %al, %dx
    inc %edx
    mov %ebx, %eax
    out %al, %dx
    inc %edx
    shr $8, %eax
    out %al, %dx
    inc %edx
    shr $8, %eax
    out %al, %dx
    inc %edx
    mov $0xe0, %al
    out %al, %dx
    inc %edx
    mov $0x20, %al
    out %al, %dx
wait:
    in %dx, %al
    and $0x88, %al
    cmp $0x08, %al
    jne wait
    mov $0x1f0, %edx
    mov $256, %ecx
    rep insw
    inc %ebx
    cmp $image_end, %edi
    jb read

    mov $STACK, %esp
    mov $main, %eax
    call *%rax
    mov $shutdown, %esi                 /* the word that Bochs waits for at this port */
    mov $8, %ecx
    mov $0x8900, %edx
    rep outsb
stop:
    hlt
    jmp stop

shutdown:
    .ascii "Shutdown"
    .balign 8
gdt:
    .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff
gdt_at:
    .word gdt_at - gdt - 1
    .long gdt
    .balign 4096
tables:
    .quad directory + 0x23
    .balign 4096
directory:
    .quad 0x000000e3, 0x400000e3, 0x800000e3, 0xc00000e3
    .org 0xfff0                         /* where the CPU begins */
    .code16
    jmp start
    .org 0x10000
