/* Calls of graphs, in the program. */
    .section .rodata
    .balign 64
    .globl calls, calls_end
calls:
    .incbin "calls.bin"
calls_end:
    .section .note.GNU-stack, "", %progbits
