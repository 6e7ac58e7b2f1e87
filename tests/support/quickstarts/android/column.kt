// A stand-in: just what docs/guides/android.md uses of these classes, for the compiler.
package androidx.compose.foundation.layout

import androidx.compose.runtime.Composable

interface ColumnScope

@Composable
fun Column(content: @Composable ColumnScope.() -> Unit): Unit = TODO()
