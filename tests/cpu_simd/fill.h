/* In front of an example: what it allocates aligned is filled with FILL, which no result may depend on. */
#include <stdlib.h>
#include <string.h>

static void *filled_alloc(size_t alignment, size_t size) {
    void *found = aligned_alloc(alignment, size);
    return found ? memset(found, FILL, size) : NULL;
}
#define aligned_alloc filled_alloc
