// A stand-in: just what docs/guides/android.md uses of these classes, for the compiler.
package androidx.compose.ui.text.input

class KeyboardType {
    companion object {
        val Number: KeyboardType get() = TODO()
        val Phone: KeyboardType get() = TODO()
    }
}
