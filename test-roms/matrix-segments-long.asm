; matrix-segments-long: matrix-segments in long mode. See there.

%define LONG_MODE
%include "matrix-segments.asm"
