// A stand-in: just what docs/guides/android.md uses of these classes, for the compiler.
package androidx.compose.foundation.text

import androidx.compose.ui.text.input.KeyboardType

class KeyboardOptions(val keyboardType: KeyboardType)
