/* CRC32C (Castagnoli, reflected, 0x82F63B78), by the processor's instruction where it has one. */
#ifndef CC_DIGEST_IMPL_H
#define CC_DIGEST_IMPL_H

#include <stddef.h>
#include <stdint.h>

#include "records.h"

uint32_t cc_crc32c(uint32_t crc, const void *bytes, size_t len);
void cc_crc32c_seal(cc_record *record, size_t n);
size_t cc_crc32c_check(const cc_record *record, size_t n);
uint32_t cc_crc32c_table(uint32_t crc, const void *bytes, size_t len);

#endif
