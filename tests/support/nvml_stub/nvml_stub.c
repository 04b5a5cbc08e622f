/* A stand-in for libnvidia-ml.so.1: two modelled GPUs, so that the real bindings run without a driver.
 *
 * It proves the code path, never an energy. NVML_STUB_MODE: "" = counters that grow by 1,234 mJ at each reading,
 * "sampled" = no energy counter, "denied" = the power limit may not be set, "broken" = readings fail,
 * "reloaded" = the counter falls at the third reading. NVML_STUB_SEEN: a file of lines `gpu pid` and `gpu C degrees`
 * that says who uses which GPU and how hot it is, read anew at every call; without it nobody does, at 40 degrees.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NO_PERMISSION = 4, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, UNKNOWN = 999 };
enum { GPUS = 2, DEFAULT_MW = 350000, STEP_MJ = 1234 };

typedef struct { unsigned index; unsigned limit_mw; unsigned long long energy_mj; int readings; } gpu;
typedef struct { unsigned long long total, free, used; } memory;

static gpu gpus[GPUS] = {{0, DEFAULT_MW, 5000, 0}, {1, DEFAULT_MW, 900000, 0}};
static const char *uuids[GPUS] = {"GPU-stub-0", "GPU-stub-1"};

static int mode(const char *name) {
  const char *now = getenv("NVML_STUB_MODE");
  return now && strcmp(now, name) == 0;
}

int nvmlInitWithFlags(unsigned flags) { (void)flags; return SUCCESS; }
int nvmlShutdown(void) { return SUCCESS; }
const char *nvmlErrorString(int code) { (void)code; return "stub error"; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = GPUS; return SUCCESS; }

int nvmlDeviceGetHandleByIndex_v2(unsigned index, gpu **device) {
  if (index >= GPUS) return INVALID_ARGUMENT;
  *device = &gpus[index];
  return SUCCESS;
}

int nvmlDeviceGetHandleByUUID(const char *uuid, gpu **device) {
  for (int i = 0; i < GPUS; i++)
    if (strcmp(uuid, uuids[i]) == 0) { *device = &gpus[i]; return SUCCESS; }
  return NOT_FOUND;
}

int nvmlDeviceGetUUID(gpu *device, char *text, unsigned length) {
  strncpy(text, uuids[device->index], length);
  return SUCCESS;
}

int nvmlDeviceGetName(gpu *device, char *text, unsigned length) {
  (void)device;
  strncpy(text, "NVIDIA L40S", length);
  return SUCCESS;
}

int nvmlDeviceGetMemoryInfo(gpu *device, memory *found) {
  (void)device;
  found->total = 48ULL << 30, found->free = found->total, found->used = 0;
  return SUCCESS;
}

int nvmlDeviceGetMinorNumber(gpu *device, unsigned *minor) { *minor = device->index; return SUCCESS; }

int nvmlDeviceGetTotalEnergyConsumption(gpu *device, unsigned long long *energy_mj) {
  if (mode("sampled")) return NOT_SUPPORTED;
  if (mode("broken") && device->readings > 0) return UNKNOWN;
  if (mode("reloaded") && device->readings == 2) device->energy_mj = 0;
  device->readings++;
  *energy_mj = device->energy_mj;
  device->energy_mj += STEP_MJ;
  return SUCCESS;
}

int nvmlDeviceGetPowerUsage(gpu *device, unsigned *power_mw) {
  *power_mw = device->index ? 300000 : 100000;
  return SUCCESS;
}

int nvmlDeviceGetPowerManagementLimit(gpu *device, unsigned *limit_mw) { *limit_mw = device->limit_mw; return SUCCESS; }
int nvmlDeviceGetPowerManagementDefaultLimit(gpu *device, unsigned *limit_mw) { (void)device; *limit_mw = DEFAULT_MW; return SUCCESS; }

int nvmlDeviceGetPowerManagementLimitConstraints(gpu *device, unsigned *least_mw, unsigned *most_mw) {
  (void)device;
  *least_mw = 100000, *most_mw = DEFAULT_MW;
  return SUCCESS;
}

int nvmlDeviceSetPowerManagementLimit(gpu *device, unsigned limit_mw) {
  if (mode("denied")) return NO_PERMISSION;
  device->limit_mw = limit_mw;
  return SUCCESS;
}

typedef struct { unsigned pid; unsigned long long memory; unsigned gpu_instance, compute_instance; } process;

static unsigned seen(unsigned gpu_index, process *found, unsigned room, unsigned *degrees) {
  const char *name = getenv("NVML_STUB_SEEN");
  FILE *file = name ? fopen(name, "r") : NULL;
  char line[80];
  unsigned index, number, count = 0;
  while (file && fgets(line, sizeof line, file)) {
    if (sscanf(line, "%u C %u", &index, &number) == 2) {
      if (index == gpu_index) *degrees = number;
    } else if (sscanf(line, "%u %u", &index, &number) == 2 && index == gpu_index) {
      if (count < room) found[count] = (process){number, 1ULL << 30, 0, 0};
      count++;
    }
  }
  if (file) fclose(file);
  return count;
}

int nvmlDeviceGetComputeRunningProcesses_v3(gpu *device, unsigned *count, process *found) {
  unsigned degrees = 0, room = found ? *count : 0;
  *count = seen(device->index, found, room, &degrees);
  return *count > room ? INSUFFICIENT_SIZE : SUCCESS;
}

int nvmlDeviceGetGraphicsRunningProcesses_v3(gpu *device, unsigned *count, process *found) {
  (void)device, (void)found;
  *count = 0;
  return SUCCESS;
}

typedef struct { unsigned version; int sensor; int degrees; } temperature;

int nvmlDeviceGetTemperatureV(gpu *device, temperature *found) {
  unsigned degrees = 40;
  seen(device->index, NULL, 0, &degrees);
  found->degrees = (int)degrees;
  return SUCCESS;
}
