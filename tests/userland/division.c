/* For a compiler that makes 32-bit code: x87 and wide division. */
double quotient(double a, float b) { return a / b; }
unsigned long long remainder_of(unsigned long long a, unsigned b) { return a % b; }
int third(int a) { return a / 3; }
